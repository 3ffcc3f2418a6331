"""Speed, side by side: python scripts/bench.py [--families dcgan vae] [--out results/bench.json]; what the tool's loop
costs beside the bare steps: python scripts/bench.py loop [--data-dir FOLDER]; sampling by a diffusion family:
python scripts/bench.py sampling [--sampler ddim] [--sampling-steps 20]"""

import sys

from jaxgen.bench import bench
from jaxgen.bench_sampling import sampling
from jaxgen.overhead import overhead
from jaxgen.settings import call

if sys.argv[1:2] == ["loop"]:
    call(overhead, sys.argv[2:], "bench.py loop")
elif sys.argv[1:2] == ["sampling"]:
    call(sampling, sys.argv[2:], "bench.py sampling")
else:
    call(bench, sys.argv[1:], "bench.py")
