"""Speed, side by side: python scripts/bench.py [--families dcgan vae] [--out results/bench.json]; what the tool's loop
costs beside the bare steps: python scripts/bench.py loop [--data-dir FOLDER]; sampling: python scripts/bench.py
sampling [--family ddpm] [--sampler ddim] [--sampling-steps 20]; how long a training run takes to its first step:
python scripts/bench.py start [--families ddpm]; training steps at other sizes: python scripts/bench.py sizes"""

import sys

from jaxgen.bench import bench
from jaxgen.bench_sampling import sampling
from jaxgen.bench_sizes import sizes
from jaxgen.bench_start import start
from jaxgen.errors import one_line
from jaxgen.overhead import overhead
from jaxgen.settings import call

PARTS = {"loop": overhead, "sampling": sampling, "sizes": sizes, "start": start}

with one_line("bench.py"):
    if sys.argv[1:] and sys.argv[1] in PARTS:
        call(PARTS[sys.argv[1]], sys.argv[2:], f"bench.py {sys.argv[1]}")
    else:
        call(bench, sys.argv[1:], "bench.py")
