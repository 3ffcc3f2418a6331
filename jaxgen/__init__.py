"""jaxgen: generative models in functional Flax, each with a PyTorch twin, and a proof that the two agree.

import jaxgen
run = jaxgen.train("vae", data="digits")    # -> the folder of the run
images = jaxgen.sample(run, count=16)       # uint8 (16, H, W, C)
sweep = jaxgen.sweep("vae", data="digits", seeds=4, lr=(3e-4, 1e-3))    # many runs as one program
codes = jaxgen.latent.encode(run)           # and decode, reconstruct, interpolate, traverse, embed, likelihood
family, state, txs, step, batch, root = jaxgen.load(run)    # to go on with by hand
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["latent", "load", "sample", "sweep", "take", "train"]

if TYPE_CHECKING:
    from jaxgen import latent
    from jaxgen.loading import load
    from jaxgen.sampling import sample
    from jaxgen.sweeping import sweep, take
    from jaxgen.training import train

# they bring JAX with them, so they are imported when they are asked for
WHERE = {"load": "jaxgen.loading", "sample": "jaxgen.sampling", "train": "jaxgen.training"}
WHERE |= dict.fromkeys(("sweep", "take"), "jaxgen.sweeping")


def __getattr__(name):
    if name == "latent":
        return import_module("jaxgen.latent")
    if name not in WHERE:
        raise AttributeError(f"module 'jaxgen' has no attribute {name!r}")
    return getattr(import_module(WHERE[name]), name)
