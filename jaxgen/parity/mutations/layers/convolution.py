"""Convolutions that are nearly torch's."""

import jax.numpy as jnp
import numpy as np

from jaxgen import nn
from jaxgen.parity.mutations.planting import calls


def padding_same(layer: nn.Conv2d):
    """padding SAME: with stride 2 it pads behind alone; of the right shape."""
    (kernel, _), how = layer.weight.get_value().shape[2:], layer.how
    if how.stride != (2, 2) or how.padding != (kernel // 2,) * 2 or how.dilation != (1, 1) or kernel % 2 == 0:
        return NotImplemented
    call = lambda right, self, x: right(self, same(x, kernel, 2, 0.0), how=how._replace(padding=(0, 0)))
    calls(layer, call)


def same(x, kernel, stride, fill):
    """x padded as 'SAME' says, the odd one behind."""
    totals = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[1:3]]
    pads = [(0, 0), *((total // 2, total - total // 2) for total in totals), (0, 0)]
    return jnp.pad(x, pads, constant_values=fill)


def flipped(layer: nn.Conv2d):
    """kernel flipped: a convolution as scipy has it, where torch correlates."""
    if max(layer.weight.get_value().shape[2:]) == 1:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, weight=self.weight[...][:, :, ::-1, ::-1]))


def turned(layer: nn.Conv2d):
    """kernel height and width exchanged: transpose(3, 2, 1, 0), the full reversal of the axes."""
    height, width = layer.weight.get_value().shape[2:]
    if not height == width > 1:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, weight=self.weight[...].swapaxes(2, 3)))


def channels_exchanged(layer: nn.Conv2d):
    """channels exchanged: transpose(2, 3, 0, 1), of the right shape for a square kernel."""
    rows, columns = layer.weight.get_value().shape[:2]
    if rows != columns or rows == 1:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, weight=self.weight[...].swapaxes(0, 1)))


def bias_missing(layer: nn.Conv2d):
    """bias missing: use_bias=False copied from a convolution before a batch norm."""
    if layer.bias is None:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, bias=None))


def dilation_ignored(layer: nn.Conv2d):
    """stride or dilation: rhs_dilation left out, the padding made to fit."""
    (kernel, _), how = layer.weight.get_value().shape[2:], layer.how
    less = (how.dilation[0] - 1) * (kernel - 1) // 2
    if less == 0 or min(how.padding) < less or len({*how.dilation}) > 1:
        return NotImplemented
    layer.how = how._replace(dilation=(1, 1), padding=tuple(p - less for p in how.padding))
    layer.reach = (kernel, kernel)


def strided_groups(layer: nn.Conv2d):
    """groups are strided: channels dealt out to the groups in turn, as in a reshape to (C // groups, groups)."""
    groups, (out, part) = layer.how.groups, layer.weight.get_value().shape[:2]
    if groups == 1 or part == 1 and out == groups:
        return NotImplemented
    into, out = (np.arange(n).reshape(-1, groups).T.reshape(-1) for n in (layer.channels, out))

    def call(right, self, x):
        bias = None if self.bias is None else self.bias[...][out]
        return right(self, x[..., into], bias=bias)[..., np.argsort(out)]

    calls(layer, call)
