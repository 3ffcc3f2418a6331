"""Pooling"""

from functools import partial

import numpy as np
from flax import linen, nnx

from jaxgen import nn
from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, off
from jaxgen.parity.semantics.sides import nchw, nhwc, normal, ours, quick, slope_jax, tensor

torch = needs("torch", "verify")


def _flax(kind, x, size, *how, **more):
    """Of linen and of nnx."""
    return quick(lambda x: [getattr(side, kind)(x, (size, size), *how, **more) for side in (linen, nnx)], x)


def stride():
    """MaxPool2d(k), AvgPool2d(k)
    torch: the stride is k
    jax: the stride is 1; the Flax guide calls the defaults of AvgPool2d and avg_pool compatible
    do: strides=(k, k), or jaxgen.nn.MaxPool2d, AvgPool2d
    """
    x, naive, mapped = normal(1, 6, 6, 2), [], []
    for name, kind in (("MaxPool2d", "max_pool"), ("AvgPool2d", "avg_pool")):
        want = nhwc(getattr(torch.nn, name)(2)(nchw(x)))
        naive += off(want, *_flax(kind, x, 2))
        mapped += off(want, *_flax(kind, x, 2, (2, 2)), *ours(getattr(nn, name)(2), {}, x)[0])
    return Differs(naive, mapped)


def max_pool_same():
    """MaxPool2d(3, 2, padding=1), even sizes (ResNet)
    torch: pads all sides with -inf
    jax: 'SAME' pads behind only: the right shape, other values
    do: padding=((1, 1), (1, 1)), which pads with -inf too; or jaxgen.nn.MaxPool2d
    """
    x = normal(1, 8, 8, 2)
    want = nhwc(torch.nn.MaxPool2d(3, 2, 1)(nchw(x)))
    mapped = [*_flax("max_pool", x, 3, (2, 2), ((1, 1), (1, 1))), *ours(nn.MaxPool2d(3, 2, 1), {}, x)[0]]
    return Differs(off(want, *_flax("max_pool", x, 3, (2, 2), "SAME")), off(want, *mapped))


def max_pool_ceil():
    """MaxPool2d(ceil_mode=True)
    torch: the last window may hang over
    jax: 'SAME' is the same for kernel 2, stride 2 only
    do: padding=((0, over), (0, over)), over = (out - 1) stride + k - in
    """
    x, naive, mapped = normal(1, 7, 7, 2), [], []
    for size in (2, 3):
        want = nhwc(torch.nn.MaxPool2d(size, 2, ceil_mode=True)(nchw(x)))
        errors = off(want, *_flax("max_pool", x, size, (2, 2), "SAME"))
        naive, mapped = (naive, mapped + errors) if size == 2 else (naive + errors, mapped)
        over = (want.shape[1] - 1) * 2 + size - 7
        mapped += off(want, *_flax("max_pool", x, size, (2, 2), ((0, over), (0, over))))
    return Differs(naive, mapped)


def max_pool_ties():
    """MaxPool2d: equal values under the kernel
    torch: the gradient goes to the first
    jax: to the first
    do: nothing
    """
    x = np.round(normal(1, 6, 6, 2))  # many are equal
    leaf = tensor(np.moveaxis(x, -1, 1), grad=True)
    torch.nn.MaxPool2d(2)(leaf).sum().backward()
    stock = [slope_jax(partial(side.max_pool, window_shape=(2, 2), strides=(2, 2)), x) for side in (linen, nnx)]
    return Agrees(off(nhwc(leaf.grad), *stock, slope_jax(nn.MaxPool2d(2), x)))


def avg_pool_padding():
    """AvgPool2d(count_include_pad=False)
    torch: the padding can be left out of the mean
    jax: so it can in Flax, though the Flax guide says that there is no such parameter; by default it counts
    do: count_include_pad=False, or jaxgen.nn.AvgPool2d
    """
    x, pads = normal(1, 6, 6, 2), ((1, 1), (1, 1))
    without, counted = (nhwc(torch.nn.AvgPool2d(3, 2, 1, count_include_pad=on)(nchw(x))) for on in (False, True))
    default, mapped = (_flax("avg_pool", x, 3, (2, 2), pads, **how) for how in ({}, {"count_include_pad": False}))
    mine = ours(nn.AvgPool2d(3, 2, 1, count_include_pad=False), {}, x)[0]
    return Differs(off(without, *default), off(without, *mapped, *mine) + off(counted, *default))
