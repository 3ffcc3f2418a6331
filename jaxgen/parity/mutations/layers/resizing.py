"""Resizing that is nearly torch's."""

import jax
import numpy as np

from jaxgen import nn
from jaxgen.nn import spatial
from jaxgen.parity.mutations.planting import calls, inside


def corners_aligned(layer: nn.Upsample):
    """align_corners: True for False, the default of older code."""
    if layer.mode != "bilinear" or layer.align_corners:
        return NotImplemented
    layer.align_corners = True


def corners_not_aligned(layer: nn.Upsample):
    """align_corners: False for True, which jax.image.resize does not have."""
    if layer.mode != "bilinear" or not layer.align_corners:
        return NotImplemented
    layer.align_corners = False


def nearest(layer: nn.Upsample):
    """nearest for bilinear: torch's default mode."""
    if layer.mode != "bilinear":
        return NotImplemented
    layer.mode = "nearest"


def antialias(layer: nn.Upsample):
    """antialias: the default of jax.image.resize, which matters where images shrink."""
    if layer.mode != "bilinear" or layer.align_corners or not shrinks(layer):
        return NotImplemented

    def call(right, self, x):
        return jax.image.resize(x, right(self, x).shape, "bilinear", antialias=True)

    calls(layer, call)


def shrinks(resize):
    """An Upsample to a size may: what it is given is not known yet."""
    return resize.size is not None or np.min(resize.scale) < 1


def corner_of_the_pixel(layer: nn.Upsample):
    """half-pixel: sampled at i times the scale, not at (i + 1/2) times the scale less 1/2."""
    if layer.mode != "bilinear" or layer.align_corners:
        return NotImplemented
    inside(layer, spatial, "bilinear", from_corner)


def from_corner(length, size, scale, align_corners):
    source = np.arange(size) * (1 / scale if scale else length / size)
    low = np.minimum(np.floor(source).astype(int), length - 1)
    part, eye = np.clip(source - low, 0, 1)[:, None], np.eye(length)
    return (1 - part) * eye[low] + part * eye[np.minimum(low + 1, length - 1)]


def centre_of_the_pixel(layer: nn.Upsample):
    """half-pixel: the nearest of jax.image.resize, torch's nearest-exact; torch's nearest takes floor(i scale)."""
    if layer.mode != "nearest":
        return NotImplemented
    calls(layer, lambda right, self, x: jax.image.resize(x, right(self, x).shape, "nearest"))
