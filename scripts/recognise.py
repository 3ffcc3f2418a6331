"""Are the samples of a run recognisable? python scripts/recognise.py RUN [--count 500] [--seed 1]"""

import argparse
import sys

from jaxgen import data, sampling
from jaxgen.recognise import recognise
from jaxgen.run import Run

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("run")
parser.add_argument("--count", type=int, default=500)
parser.add_argument("--seed", type=int, default=1)
arguments = parser.parse_args()
run = Run(arguments.run)
options = run.config["settings"]
images = sampling.images(run.family, *run.load_weights(), arguments.count, arguments.seed, 100)
verdict = recognise(images, data.load(options["data"], options["data_dir"]))
print(verdict)
sys.exit(not verdict.ok)
