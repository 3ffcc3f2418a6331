"""A source as a family asks for it, and a batch in the family's range."""

import numpy as np

from jaxgen.data import checks, pixels
from jaxgen.errors import UserError


def fit(source, inputs, resize: str = "none", convert: bool = False):
    """A source of exactly the leaves in `inputs` {leaf: Input}, images in its size and channels. Images of a user's own
    are resized (`crop` or `stretch`) and brought to gray or colour (`convert`) only when asked."""
    if absent := sorted(inputs.keys() - source.keys()):
        raise UserError(f"the family needs {', '.join(absent)}, the data has {', '.join(sorted(source.keys()))}.")
    target = None
    if "image" in inputs:
        height, width, channels = inputs["image"].shape[1:]
        target = pixels.Target(height, width, channels, resize, convert)
    for key in inputs.keys() - {"image"}:
        checks.leaf(source.where, key, source.leaves[key], inputs[key])
    return source.fitted(tuple(inputs), target)


def fit_images(images: np.ndarray, height: int, width: int, channels: int) -> np.ndarray:
    """Images (N, H, W, C), uint8, resized, gray repeated."""
    return pixels.fitted(images, pixels.Target(height, width, channels), "images", own=False)


def scaled(arrays, inputs, rows):
    """The batch of these rows, on the device: see `scale`."""
    return scale({key: x[rows] for key, x in arrays.items()}, inputs)


def scale(batch, inputs):
    """uint8 and fractions of 1 become the family's range, all else its dtype."""

    def one(key, x):
        low, high, dtype = inputs[key].low, inputs[key].high, inputs[key].dtype
        if x.dtype == np.uint8 and np.issubdtype(np.dtype(dtype), np.floating):
            return low + (high - low) / 255 * x.astype(dtype)
        fractions = key == "image" and np.issubdtype(x.dtype, np.floating)
        return low + (high - low) * x.astype(dtype) if fractions else x.astype(dtype)

    return {key: one(key, x) for key, x in batch.items()}
