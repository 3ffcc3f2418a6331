"""Layer norms that are nearly torch's."""

import jax.numpy as jnp

from jaxgen import nn
from jaxgen.nn import norms
from jaxgen.parity.mutations.planting import calls, inside

right = norms.standardise


def eps(layer: nn.LayerNorm):
    """eps: 1e-6, Flax's default."""
    layer.eps = 1e-6


def unbiased_variance(layer: nn.LayerNorm):
    """normalised by the unbiased variance: written with x.std() as torch has it, ddof=1."""
    inside(layer, norms, "standardise", unbiased)


def unbiased(x, axes, eps):
    n = x.size // x.mean(axes).size
    return right(x, axes, eps * (n - 1) / n) * ((n - 1) / n) ** 0.5


def last_axis(layer: nn.LayerNorm):
    """normalised over other axes: the last alone, Flax's default, where torch is given (C, H, W)."""
    if len(layer.shape) == 1:
        return NotImplemented
    inside(layer, norms, "standardise", lambda x, axes, eps: right(x, (x.ndim - 1,), eps))


def affine_channels_last(layer: nn.LayerNorm):
    """affine laid out as NHWC: scale and bias (C, H, W) reshaped to (H, W, C), not transposed."""
    if len(layer.shape) == 1 or layer.bias is None:
        return NotImplemented
    channels, *space = layer.shape
    laid = lambda array: jnp.moveaxis(array[...].reshape(*space, channels), -1, 0)
    calls(layer, lambda right, self, x: right(self, x, weight=laid(self.weight), bias=laid(self.bias)))


def bias_missing(layer: nn.LayerNorm):
    """bias missing: bias=False, as newer transformers have it."""
    if layer.bias is None:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, bias=None))
