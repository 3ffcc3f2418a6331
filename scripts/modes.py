"""Mode coverage of the GAN objectives on 8 Gaussians on a ring and 25 on a grid: python scripts/modes.py [--seeds 16]
[--steps 2000] [--objectives bce hinge] [--out results/modes-cpu.json] [--plot docs/modes.png]"""

import sys

from jaxgen.bench_modes import compare
from jaxgen.errors import one_line
from jaxgen.settings import call

with one_line("modes.py"):
    call(compare, sys.argv[1:], "modes.py")
