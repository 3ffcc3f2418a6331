"""Flattening in another order than torch's."""

from jaxgen import nn
from jaxgen.parity.mutations.planting import calls


def channels_last(layer: nn.Flatten):
    """flattened as NHWC: x.reshape(N, -1) of an image whose channels stand last."""
    calls(layer, lambda right, self, x: x.reshape(x.shape[0], -1))


def unflattened_channels_last(layer: nn.Unflatten):
    """unflattened as NHWC: x.reshape(N, H, W, C), where torch reads (C, H, W)."""
    channels, *space = layer.size
    if channels == 1 or max(space) == 1:
        return NotImplemented
    calls(layer, lambda right, self, x: x.reshape(x.shape[0], *space, channels))
