"""Group norms that are nearly torch's."""

import numpy as np

from jaxgen import nn
from jaxgen.parity.mutations.planting import calls


def eps(layer: nn.GroupNorm):
    """eps: 1e-6, Flax's default."""
    layer.eps = 1e-6


def strided_groups(layer: nn.GroupNorm):
    """groups are strided: x.reshape(..., C // groups, groups), which deals the channels out in turn."""
    if layer.groups in (1, layer.channels) or layer.weight is None:
        return NotImplemented
    order = np.arange(layer.channels).reshape(-1, layer.groups).T.reshape(-1)

    def call(right, self, x):
        weight, bias = self.weight[...][order], self.bias[...][order]
        return right(self, x[..., order], weight=weight, bias=bias)[..., np.argsort(order)]

    calls(layer, call)


def one_group(layer: nn.GroupNorm):
    """normalised over other axes: all but the rows, as a layer norm of the whole image."""
    if layer.groups == 1:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, groups=1))


def bias_missing(layer: nn.GroupNorm):
    """bias missing: use_bias=False copied from another block."""
    if layer.bias is None:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, bias=0.0))
