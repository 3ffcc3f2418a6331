"""Dense layers and convolutions"""

import warnings

import jax.numpy as jnp
from flax import linen, nnx
from jax.nn.initializers import zeros

from jaxgen import nn
from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, Fact, off
from jaxgen.parity.semantics.sides import agreed, arrays, filled, flax, nchw, nhwc, normal, ours, quick, tensor

torch = needs("torch", "verify")


def linear_weight():
    """Linear: weight
    torch: (out, in)
    jax: kernel (in, out); a square one loads as it is, no shape can tell
    do: kernel = weight.T, or jaxgen.nn.Linear with torch's own arrays
    """
    layer, x = torch.nn.Linear(5, 5), normal(3, 5)
    held = arrays(layer)
    want, (mine, _) = layer(tensor(x)).detach(), ours(nn.Linear(5, 5), held, x)
    dense = lambda kernel: flax(
        linen.Dense(5), lambda rngs: nnx.Linear(5, 5, rngs=rngs), x, kernel=kernel, bias=held["bias"]
    )
    return Differs(off(want, *dense(held["weight"])), off(want, *dense(held["weight"].T), *mine))


def _made(x, paddings, kernel, stride=1, padding=0, groups=1, axes=(2, 3, 1, 0)):
    """A Conv2d with four outputs -> torch's, those of linen and nnx for each of the paddings, ours if it can be."""
    how, size = (x.shape[3], 4, kernel, stride, padding, 1, groups), (kernel, kernel)
    layer = torch.nn.Conv2d(*how)
    held = arrays(layer)
    params = {"kernel": held["weight"].transpose(axes), "bias": held["bias"]}
    options = {"strides": stride, "feature_group_count": groups, "kernel_init": zeros}

    def stock(x, padding):
        make = lambda rngs: nnx.Conv(x.shape[3], 4, size, padding=padding, rngs=rngs, **options)
        return flax(linen.Conv(4, size, padding=padding, **options), make, x, **params)

    mine = lambda x: ours(nn.Conv2d(*how), held, x)[0] if padding != "same" else []
    both = lambda x: ([stock(x, each) for each in paddings], mine(x))
    stocks, own = quick(both, x)
    return nhwc(layer(nchw(x))), *stocks, own


def conv_weight():
    """Conv2d: weight, groups, depthwise
    torch: (out, in / groups, kh, kw)
    jax: kernel (kh, kw, in / groups, out); with as many inputs as outputs a swapped pair loads
    do: kernel = weight.transpose(2, 3, 1, 0), feature_group_count=groups
    """
    x, mapped = normal(2, 6, 6, 4), []
    for groups in (1, 2, 4):
        want, right, mine = _made(x, ["VALID"], 3, groups=groups)
        mapped += off(want, *right, *mine)
    want, swapped, _ = _made(x, ["VALID"], 3, axes=(2, 3, 0, 1))
    return Differs(off(want, *swapped), mapped)


def conv_default():
    """Conv2d: padding by default
    torch: `(0, 0)`
    jax: `SAME`, in linen.Conv and nnx.Conv
    do: padding="VALID", or jaxgen.nn.Conv2d
    """
    x = normal(1, 7, 8, 3)
    stock = filled(lambda rngs: nnx.Conv(3, 4, (3, 3), rngs=rngs)).padding
    want, valid, mine = _made(x, ["VALID"], 3)
    return Fact(
        torch.nn.Conv2d(3, 4, 3).padding, agreed(linen.Conv(4, (3, 3)).padding, stock), off(want, *valid, *mine)
    )


def conv_same():
    """Conv2d: stride 2 with a kernel of 3, 5 or 7 (ResNet's stem), even sizes
    torch: padding=p pads all four sides
    jax: 'SAME' pads one row and column more behind than before: the right shape, other values
    do: padding=((p, p), (p, p)), or jaxgen.nn.Conv2d
    """
    x, naive, mapped = normal(1, 10, 10, 3), [], []
    for kernel, p in ((3, 1), (5, 2), (7, 3)):
        want, same, pairs, mine = _made(x, ["SAME", [(p, p), (p, p)]], kernel, 2, p)
        naive += off(want, *same)
        mapped += off(want, *pairs, *mine)
    return Differs(naive, mapped)


def conv_same_where_right():
    """Conv2d: where 'SAME' is right
    torch: kernel 4, stride 2, padding 1; kernel 3, stride 2, padding 1 on odd sizes; stride 1; kernel 1
    jax: 'SAME' pads alike
    do: nothing, but explicit pairs are right everywhere
    """
    errors = []
    for size, *how in ((10, 4, 2, 1), (9, 3, 2, 1), (8, 3, 1, 1), (8, 5, 1, 2), (8, 1, 1, 0)):
        want, same, _ = _made(normal(1, size, size, 3), ["SAME"], *how)
        errors += off(want, *same)
    return Agrees(errors)


def conv_same_word():
    """Conv2d: padding='same'
    torch: stride 1 only; an even kernel pads one more behind than before
    jax: 'SAME' does the same
    do: nothing
    """
    x = normal(1, 7, 8, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch says that an even kernel costs it a copy
        even, odd = (_made(x, ["SAME"], size, padding="same") for size in (4, 3))
    return Agrees(off(even[0], *even[1]) + off(odd[0], *odd[1]))


def flatten_before_linear():
    """Flatten before Linear
    torch: rows are in the order C, H, W
    jax: x.reshape(N, -1) is in the order H, W, C, with the same shape. The NNX guide from PyTorch and the JAX AI
    stack's porting tutorial give this form for nn.Flatten()
    do: jnp.moveaxis(x, -1, 1) first; or permute the kernel: W.reshape(O, C, H, W).transpose(2, 3, 1, 0).reshape(-1, O);
    or jaxgen.nn.Flatten
    """
    n, h, w, c = shape = 2, 4, 3, 5
    x, weight = normal(*shape), normal(6, c * h * w)
    want = torch.nn.functional.linear(torch.nn.Flatten()(nchw(x)), tensor(weight))
    folded = weight.reshape(6, c, h, w).transpose(2, 3, 1, 0).reshape(-1, 6)
    mapped = jnp.moveaxis(x, -1, 1).reshape(n, -1) @ weight.T, x.reshape(n, -1) @ folded, nn.flatten(x) @ weight.T
    return Differs(off(want, x.reshape(n, -1) @ weight.T), off(want, *mapped))


def linear_before_view():
    """Linear, then view(N, C, H, W)
    torch: as in the first layer of a generator
    jax: reshape(N, H, W, C) of the same weights gives a scrambled image
    do: reshape(N, C, H, W), then jnp.moveaxis(x, 1, -1); or permute the kernel:
    W.reshape(C, H, W, Z).transpose(3, 1, 2, 0).reshape(Z, -1), the bias alike; or jaxgen.nn.Unflatten
    """
    n, c, h, w, z = 2, 3, 4, 5, 6
    x, weight, bias = normal(n, z), normal(c * h * w, z), normal(c * h * w)
    want = nhwc(torch.nn.functional.linear(tensor(x), tensor(weight), tensor(bias)).view(n, c, h, w))
    rows = x @ weight.T + bias
    folded = weight.reshape(c, h, w, z).transpose(3, 1, 2, 0).reshape(z, -1)
    image = (x @ folded + bias.reshape(c, h, w).transpose(1, 2, 0).reshape(-1)).reshape(n, h, w, c)
    plain = jnp.moveaxis(rows.reshape(n, c, h, w), 1, -1)
    return Differs(off(want, rows.reshape(n, h, w, c)), off(want, plain, image, nn.unflatten(rows, (c, h, w))))


def pixel_shuffle():
    """PixelShuffle(r)
    torch: channels are in the order C, r, r
    jax: none; the usual depth_to_space, TensorFlow's, takes them in the order r, r, C
    do: reshape(N, H, W, C, r, r).transpose(0, 1, 4, 2, 5, 3).reshape(N, H r, W r, C)
    """
    n, h, w, c, r = 2, 3, 4, 3, 2
    x = normal(n, h, w, c * r * r)
    want = nhwc(torch.nn.functional.pixel_shuffle(nchw(x), r))
    depth_to_space = x.reshape(n, h, w, r, r, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h * r, w * r, c)
    mapped = x.reshape(n, h, w, c, r, r).transpose(0, 1, 4, 2, 5, 3).reshape(n, h * r, w * r, c)
    return Differs(off(want, depth_to_space), off(want, mapped))
