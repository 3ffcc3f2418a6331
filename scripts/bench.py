"""Speed, side by side: python scripts/bench.py [--families dcgan vae] [--out results/bench.json]; what the tool's loop
costs beside the bare steps: python scripts/bench.py loop [--data-dir FOLDER]"""

import sys

from jaxgen.bench import bench
from jaxgen.overhead import overhead
from jaxgen.settings import call

if sys.argv[1:2] == ["loop"]:
    call(overhead, sys.argv[2:], "bench.py loop")
else:
    call(bench, sys.argv[1:], "bench.py")
