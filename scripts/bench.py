"""Speed, side by side: python scripts/bench.py [--families dcgan vae] [--out results/bench.json]"""

import sys

from jaxgen.bench import bench
from jaxgen.settings import call

call(bench, sys.argv[1:], "bench.py")
