"""Pooling that is nearly torch's."""

from functools import reduce

import jax.numpy as jnp

from jaxgen import nn
from jaxgen.nn.spatial import windows
from jaxgen.parity.mutations.layers.convolution import same
from jaxgen.parity.mutations.planting import calls


def max_padding_same(layer: nn.MaxPool2d):
    """padding SAME: with stride 2 it pads behind alone; of the right shape."""
    if not odd(layer):
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, same(x, layer.how[0][0], 2, -jnp.inf), how=unpadded(layer)))


def average_padding_same(layer: nn.AvgPool2d):
    """padding SAME: with stride 2 it pads behind alone; of the right shape."""
    if not odd(layer):
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, same(x, layer.how[0][0], 2, 0.0), how=unpadded(layer)))


def odd(pool):
    (kernel, width), stride, padding, _ = pool.how
    return kernel == width and kernel % 2 and stride == (2, 2) and padding == (kernel // 2,) * 2


def unpadded(pool):
    kernel, stride, _, dilation = pool.how
    return kernel, stride, (0, 0), dilation


def padded_with_zeros(layer: nn.MaxPool2d):
    """padding with zeros: jnp.pad before the pool, where torch's border is minus infinity."""
    rows, columns = layer.how[2]
    if not rows + columns:
        return NotImplemented
    pads = ((0, 0), (rows, rows), (columns, columns), (0, 0))
    calls(layer, lambda right, self, x: right(self, jnp.pad(x, pads), how=unpadded(layer)))


def last_of_equals(layer: nn.MaxPool2d):
    """maximum of the last tie: of equal values torch gives the gradient to the first."""
    later = lambda best, value: jnp.where(value >= best, value, best)
    calls(layer, lambda right, self, x: reduce(later, windows(self, x, -jnp.inf)))


def padding_not_counted(layer: nn.AvgPool2d):
    """padding counted otherwise: the mean of what lies inside, as Keras has it."""
    if not any(layer.how[2]):
        return NotImplemented
    layer.count_include_pad = not layer.count_include_pad
