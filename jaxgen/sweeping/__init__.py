"""Many runs of a family as one program: `jaxgen sweep FAMILY`, or from Python

import jaxgen
sweep = jaxgen.sweep("vae", data="digits", seeds=4, lr=(3e-4, 1e-3))    # -> its folder, with report.md
run = jaxgen.take(sweep, 5, name="runs/fifth")                          # one of its runs, to sample or to go on with
"""

from jaxgen.sweeping.taking import take
from jaxgen.sweeping.training import sweep

__all__ = ["sweep", "take"]
