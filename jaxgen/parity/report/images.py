"""Samples of both sides and their difference, as pictures inside the page."""

import base64
import io

import numpy as np
from PIL import Image

from jaxgen.parity.report.elements import element, mark
from jaxgen.parity.report.scales import number, several
from jaxgen.pictures import to_uint8

WIDEST = 96  # of one sample on the screen, in pixels; small ones are enlarged to it


def told(result):
    samples = result["samples"]
    gap = difference(samples)
    if gap is None:
        return mark("their shapes are not the same", good=False)
    return f"largest difference {number(gap.max())}" if gap.any() else "no difference, to the last bit"


def strip(result):
    """(N, H, W, C) in [low, high] -> rows of pictures."""
    samples = result["samples"]
    low, high = samples["low"], samples["high"]
    rows = [
        figure("PyTorch", arrays(samples["torch"]), low, high),
        figure("JAX", arrays(samples["jax"]), low, high),
        difference_figure(difference(samples), high - low),
    ]
    return element("div", rows, class_="samples")


def arrays(lists):
    return np.asarray(lists, np.float64)


def difference(samples):
    """Its size; where only one side is finite it is the whole range. None if there is nothing to subtract."""
    have, want = arrays(samples["jax"]), arrays(samples["torch"])
    if have.shape != want.shape:
        return None
    with np.errstate(invalid="ignore"):
        gap = np.where((have == want) | (np.isnan(have) & np.isnan(want)), 0.0, np.abs(have - want))
    return np.where(np.isfinite(gap), gap, samples["high"] - samples["low"])


def difference_figure(gap, extent):
    if gap is None:
        return None
    if not gap.any():
        return figure("difference: none", gap, 0.0, 1.0)
    largest = gap.max()
    words = f"difference, {number(extent / largest)} times enlarged: white is {number(largest)}"
    return figure(words, gap, 0.0, largest)


def figure(words, images, low, high):
    n, _, width, _ = images.shape
    source = f"data:image/png;base64,{png(to_uint8(np.nan_to_num(images, nan=low), low, high))}"
    size = f"max-width:{n * max(width, WIDEST)}px"
    picture = element("img", src=source, alt=f"{words}: {several(n, 'sample')}", style=size)
    return element("figure", element("figcaption", words), picture)


def png(images):
    """uint8 (N, H, W, C) side by side, a clear line between them; channels that are no colours side by side too."""
    if images.shape[3] not in (1, 3):
        images = np.concatenate(np.split(images, images.shape[3], 3), 2)
    colour = np.broadcast_to(images, (*images.shape[:3], 3))
    opaque = np.concatenate([colour, np.full_like(colour[..., :1], 255)], 3)
    row = np.concatenate(list(np.pad(opaque, [(0, 0), (0, 0), (0, 1), (0, 0)])), 1)[:, :-1]
    file = io.BytesIO()
    Image.fromarray(row).save(file, "png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
