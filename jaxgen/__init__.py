"""jaxgen: generative models in functional Flax, each with a PyTorch twin, and a proof that the two agree.

import jaxgen
run = jaxgen.train("vae", data="digits")    # -> the folder of the run
images = jaxgen.sample(run, count=16)       # uint8 (16, H, W, C)
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["sample", "train"]

if TYPE_CHECKING:
    from jaxgen.sampling import sample
    from jaxgen.training import train


def __getattr__(name):
    """`train` and `sample` bring JAX with them, so they are imported when they are asked for."""
    if name == "train":
        from jaxgen.training import train

        return train
    if name == "sample":
        from jaxgen.sampling import sample

        return sample
    raise AttributeError(f"module 'jaxgen' has no attribute {name!r}")
