"""A convolution and its gradients as three functions that are closed under differentiation (NHWC).

y = conv(x, w) is one half of the trilinear form T(x, w, g) = <conv(x, w), g>. Its partial derivatives are conv (by g),
conv_input (by x: the transposed convolution) and conv_weight (by w), and the derivative of any of them is made of the
other two. So gradients of every order stay in the one form that is fast on a CPU, also inside lax.scan, where the form
that the compiler derives is 10 to 80 times slower. Elsewhere the three are the compiler's own convolution and its two
transposes, which a GPU's library has kernels for. Kernels keep torch's layout: w is (O, C / groups, kh, kw) for conv;
the same array is ConvTranspose2d's weight for conv_input. Being custom_vjp, all three refuse forward mode.
"""

from functools import partial
from math import gcd
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxgen.nn import winograd
from jaxgen.nn.sums import by_hand


class How(NamedTuple):
    """Pairs are (height, width)."""

    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    groups: int = 1


def canonical(x, kernel, pads, stride=(1, 1), dilation=(1, 1), **groups):
    """The one form given to XLA: activations NHWC, kernel explicitly HWIO. Eigen takes no image that is smaller than
    its kernel, and what XLA has instead is ten times slower and more: such an image is padded before. The barrier keeps
    the compiler from taking the pad back into the convolution."""
    layout = ("NHWC", "HWIO", "NHWC")
    reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:2], dilation, strict=True)]
    if any(n < least for n, least in zip(x.shape[1:3], reach, strict=True)):
        x, pads = lax.optimization_barrier(winograd.padded(x, pads)), [(0, 0), (0, 0)]
    return lax.conv_general_dilated(x, kernel, stride, pads, rhs_dilation=dilation, dimension_numbers=layout, **groups)


def native(x, w, how, size=(None, None)):
    """The compiler's own, of the first rows and columns: linear in x and in w, and transposable in both."""
    pads = [(n, n) for n in how.padding]
    form = dict(dimension_numbers=("NHWC", "OIHW", "NHWC"), feature_group_count=how.groups, rhs_dilation=how.dilation)
    return lax.conv_general_dilated(x, w, how.stride, pads, **form)[:, : size[0], : size[1]]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def conv(x, w, how):
    """x (N, H, W, C), w (O, C / groups, kh, kw) -> (N, h, w, O)."""
    if not by_hand():
        return native(x, w, how)
    s, p, d, groups = how
    places = [(x.shape[1 + i] + 2 * p[i] - d[i] * (w.shape[2 + i] - 1) - 1) // s[i] + 1 for i in (0, 1)]
    if winograd.fits(w.shape, how, (len(x), *places), x.dtype, w.dtype):
        return winograd.conv(x, w, how, places)
    return canonical(x, w.transpose(2, 3, 1, 0), [(n, n) for n in p], s, d, feature_group_count=groups)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_input(g, w, how, size):
    """g (N, h, w, O) -> (N, *size, C); but for Winograd's, as stride-1 convolutions, one for each phase of the output,
    interleaved."""
    if not by_hand():
        x = jax.ShapeDtypeStruct((g.shape[0], *size, w.shape[1] * how.groups), g.dtype)
        return jax.linear_transpose(lambda x: native(x, w, how, g.shape[1:3]), x)(g)[0]
    s = how.stride
    if winograd.fits(w.shape, how, g.shape[:3], g.dtype, w.dtype):
        return winograd.conv_input(g, w, how, size)
    if s == (1, 1):
        return phase(g, w, how, size, (0, 0))
    rows = [jnp.stack([phase(g, w, how, size, (i, j)) for j in range(s[1])], 3) for i in range(s[0])]
    y = jnp.stack(rows, 2)
    n, a, _, b, _, c = y.shape
    return y.reshape(n, a * s[0], b * s[1], c)[:, : size[0], : size[1]]


def phase(g, w, how, size, start):
    """Rows start, start + s, ... of conv_input: output y meets the taps r with y + p - d r = s j, and reads g at j."""
    axes = [line(*each) for each in zip(w.shape[2:], g.shape[1:3], size, start, *how[:3], strict=True)]
    if None in axes:  # no tap meets these rows
        count = [-(-length // s) for length, s in zip(size, how.stride, strict=True)]
        return jnp.zeros((g.shape[0], *count, w.shape[1] * how.groups), g.dtype)
    (rows, row_gap, row_pads), (columns, column_gap, column_pads) = axes
    taps = w[:, :, rows, columns][:, :, ::-1, ::-1]
    _, c, kh, kw = taps.shape
    kernel = taps.reshape(how.groups, -1, c, kh, kw).transpose(3, 4, 1, 0, 2).reshape(kh, kw, -1, how.groups * c)
    return canonical(g, kernel, [row_pads, column_pads], dilation=(row_gap, column_gap), feature_group_count=how.groups)


def line(kernel, length, size, start, s, p, d):
    """One axis of a phase -> the taps met, the gap between the places they read, and the padding; None without taps."""
    first = next((r for r in range(kernel) if (start + p - d * r) % s == 0), None)
    if first is None:
        return None
    skip, gap = s // gcd(s, d), d // gcd(s, d)
    taps, count, place = len(range(first, kernel, skip)), -(-size // s), (start + p - d * first) // s
    return slice(first, None, skip), gap, ((taps - 1) * gap - place, count + place - length)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def conv_weight(x, g, how, k):
    """x (N, H, W, C), g (N, h, w, O) -> (O, C / groups, *k): channels play the batch, the batch plays the channels,
    stride and dilation change places."""
    if not by_hand():
        w = jax.ShapeDtypeStruct((g.shape[3], x.shape[3] // how.groups, *k), x.dtype)
        return jax.linear_transpose(lambda w: native(x, w, how, g.shape[1:3]), w)(g)[0]
    if winograd.fits((g.shape[3], x.shape[3] // how.groups, *k), how, g.shape[:3], x.dtype, g.dtype):
        return winograd.conv_weight(x, g, how, k)
    s, p, d, groups = how
    reach = [(g.shape[1 + i] - 1) * s[i] + (k[i] - 1) * d[i] + 1 for i in (0, 1)]
    pads = [(p[i], reach[i] - x.shape[1 + i] - p[i]) for i in (0, 1)]
    y = canonical(x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3), pads, d, s, batch_group_count=groups)
    return y.transpose(3, 0, 1, 2)


def conv_like(g, x, w, how):
    """conv of the size of g: an output_padding beyond the stride makes room for more places than g has."""
    return conv(x, w, how)[:, : g.shape[1], : g.shape[2]]


conv.defvjp(
    lambda x, w, how: (conv(x, w, how), (x, w)),
    lambda how, r, g: (conv_input(g, r[1], how, r[0].shape[1:3]), conv_weight(r[0], g, how, r[1].shape[2:])),
)
conv_input.defvjp(
    lambda g, w, how, size: (conv_input(g, w, how, size), (g, w)),
    lambda how, size, r, x: (conv_like(r[0], x, r[1], how), conv_weight(x, r[0], how, r[1].shape[2:])),
)
conv_weight.defvjp(
    lambda x, g, how, k: (conv_weight(x, g, how, k), (x, g)),
    lambda how, k, r, w: (conv_input(r[1], w, how, r[0].shape[1:3]), conv_like(r[1], r[0], w, how)),
)
