"""Transposed convolutions"""

import numpy as np
from flax import linen, nnx
from jax import lax
from jax.nn.initializers import zeros

from jaxgen import nn
from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, off
from jaxgen.parity.semantics.sides import arrays, filled, flax, nchw, nhwc, normal, ours, quick, raised

torch = needs("torch", "verify")


def _stock(x, kernel, bias, stride, padding, transpose_kernel=True, dilation=1):
    """ConvTranspose of linen and of nnx."""
    size, out = kernel.shape[:2], kernel.shape[2 if transpose_kernel else 3]
    how = {"strides": (stride, stride), "padding": padding, "kernel_dilation": (dilation, dilation)}
    how |= {"transpose_kernel": transpose_kernel, "kernel_init": zeros}
    make = lambda rngs: nnx.ConvTranspose(x.shape[3], out, size, rngs=rngs, **how)
    return flax(linen.ConvTranspose(out, size, **how), make, x, kernel=kernel, bias=bias)


def _made(x, paddings, kernel, stride=1, padding=0, output_padding=0, dilation=1):
    """A ConvTranspose2d with four outputs -> torch's, those of linen and nnx for each of the paddings, ours."""
    how = {"stride": stride, "padding": padding, "output_padding": output_padding, "dilation": dilation}
    layer = torch.nn.ConvTranspose2d(x.shape[3], 4, kernel, **how)
    held = arrays(layer)
    weight, bias = held["weight"].transpose(2, 3, 1, 0), held["bias"]
    stock = lambda x, padding: _stock(x, weight, bias, stride, padding, dilation=dilation)
    mine = lambda x: ours(nn.ConvTranspose2d(x.shape[3], 4, kernel, **how), held, x)[0]
    stocks, mine = quick(lambda x: ([stock(x, each) for each in paddings], mine(x)), x)
    return nhwc(layer(nchw(x))), *stocks, mine


def _pads(kernel, padding=0, output_padding=0, dilation=1):
    low = dilation * (kernel - 1) - padding
    return [(low, low + output_padding)] * 2


def kernel():
    """ConvTranspose2d: weight
    torch: (in, out / groups, kh, kw); the gradient of a convolution
    jax: kernel (kh, kw, in, out) of a convolution of the dilated input; not flipped, it loads and is wrong
    do: weight.transpose(2, 3, 1, 0) with transpose_kernel=True; or without it
    weight[:, :, ::-1, ::-1].transpose(2, 3, 0, 1); or jaxgen.nn.ConvTranspose2d with torch's own array
    """
    x, layer = normal(2, 4, 5, 3), torch.nn.ConvTranspose2d(3, 4, 4, 2, 1)
    held = arrays(layer)
    w, want = held["weight"], nhwc(layer(nchw(x)))

    def stocks(x):
        made = lambda kernel, transpose: _stock(x, kernel, held["bias"], 2, _pads(4, 1), transpose)
        flipped = made(w[:, :, ::-1, ::-1].transpose(2, 3, 0, 1), False)
        return made(w.transpose(2, 3, 0, 1), False), [*flipped, *made(w.transpose(2, 3, 1, 0), True)]

    naive, mapped = quick(stocks, x)
    return Differs(off(want, *naive), off(want, *mapped, *ours(nn.ConvTranspose2d(3, 4, 4, 2, 1), held, x)[0]))


def padding():
    """ConvTranspose2d: padding p, output_padding o, dilation d
    torch: p takes rows and columns away from the output, o adds some behind
    jax: padding is added to the dilated input; padding=((p, p), (p, p)) gives another shape
    do: padding=((low, low + o), (low, low + o)), low = d (k - 1) - p, which may be negative;
    or jaxgen.nn.ConvTranspose2d
    """
    x, naive, mapped = normal(1, 4, 5, 3), [], []
    cases = (5, 2, 1, 1, 1), (1, 2, 0, 1, 1), (3, 2, 0, 0, 2), (2, 2, 2, 0, 1)
    for k, s, p, o, d in cases:
        want, as_it_is, right, mine = _made(x, [[(p, p)] * 2, _pads(k, p, o, d)], k, s, p, o, d)
        naive += off(want, *as_it_is)
        mapped += off(want, *right, *mine)
    return Differs(naive, mapped)


def same():
    """ConvTranspose2d: 'SAME' where kernel minus stride is odd
    torch: kernel 3 or 5, stride 2, output_padding 1
    jax: 'SAME', Flax's default, gives the right shape and other values
    do: padding=((low, low + o), (low, low + o)), low = d (k - 1) - p, or jaxgen.nn.ConvTranspose2d
    """
    x, naive, mapped = normal(1, 4, 5, 3), [], []
    for k, p in ((3, 1), (5, 2)):
        want, default, right, mine = _made(x, ["SAME", _pads(k, p, 1)], k, 2, p, 1)
        naive += off(want, *default)
        mapped += off(want, *right, *mine)
    return Differs(naive, mapped)


def same_where_right():
    """ConvTranspose2d: 'SAME' where kernel minus stride is even
    torch: kernel 4, stride 2, padding 1; kernel 2, stride 2; kernel 6, stride 2, padding 2; kernel 3, padding 1
    jax: 'SAME' is right, with the kernel transposed or flipped
    do: nothing more
    """
    x, errors = normal(1, 4, 5, 3), []
    for k, s, p in ((4, 2, 1), (2, 2, 0), (6, 2, 2), (3, 1, 1)):
        want, default, _ = _made(x, ["SAME"], k, s, p)
        errors += off(want, *default)
    return Agrees(errors)


def guide():
    """ConvTranspose2d: the Flax guide's rule
    torch: kernel 3 or 4
    jax: the guide "Convert PyTorch models to Flax" writes flax_padding = 1 - torch_padding, which is right for its
    kernel of 2 alone; it also says that JAX has no such convolution, and then uses transpose_kernel=True
    do: low = d (k - 1) - p on both sides, plus output_padding behind
    """
    x, naive, mapped = normal(1, 4, 5, 3), [], []
    for k, s, p in ((2, 1, 0), (3, 2, 1), (4, 2, 1), (4, 1, 0)):
        want, guided, right, _ = _made(x, [1 - p, _pads(k, p)], k, s, p)
        naive, mapped = (naive, mapped + off(want, *guided)) if k == 2 else (naive + off(want, *guided), mapped)
        mapped += off(want, *right)
    return Differs(naive, mapped)


def dcgan_first_layer():
    """ConvTranspose2d: DCGAN's first layer, kernel 4, stride 1, padding 0 on 1 x 1
    torch: gives 4 x 4
    jax: 'SAME', Flax's default, gives 1 x 1
    do: padding='VALID', or 3
    """
    want, default, valid, three, mine = _made(normal(2, 1, 1, 5), ["SAME", "VALID", 3], 4)
    return Differs(off(want, *default), off(want, *valid, *three, *mine))


def groups():
    """ConvTranspose2d: groups g
    torch: groups=g
    jax: neither linen.ConvTranspose nor nnx.ConvTranspose takes feature_group_count
    do: jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, lhs_dilation=stride, feature_group_count=g), kernel =
    W.reshape(g, I/g, O/g, kh, kw)[..., ::-1, ::-1].transpose(3, 4, 1, 0, 2).reshape(kh, kw, I/g, O);
    or jaxgen.nn.ConvTranspose2d
    """
    x, g, i, o, k = normal(1, 4, 5, 4), 2, 4, 6, 3
    layer = torch.nn.ConvTranspose2d(i, o, k, 2, 1, 1, groups=g)
    held = arrays(layer)
    each = held["weight"].reshape(g, i // g, o // g, k, k)[..., ::-1, ::-1].transpose(3, 4, 1, 0, 2)
    numbers = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "lhs_dilation": (2, 2), "feature_group_count": g}
    y = lax.conv_general_dilated(x, each.reshape(k, k, i // g, o), (1, 1), _pads(k, 1, 1), **numbers) + held["bias"]
    make = lambda rngs: nnx.ConvTranspose(i, o, (k, k), feature_group_count=g, rngs=rngs)
    tried = raised(lambda: linen.ConvTranspose(o, (k, k), feature_group_count=g)), raised(lambda: filled(make))
    mine = ours(nn.ConvTranspose2d(i, o, k, 2, 1, 1, groups=g), held, x)[0]
    naive = [np.inf if told == "TypeError" else 0.0 for told in tried]
    return Differs(naive, off(nhwc(layer(nchw(x))), y, *mine))
