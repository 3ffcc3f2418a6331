"""Winograd's convolutions, for a CPU: fewer products (Winograd, 1980; Lavin & Gray, 2016, arXiv:1509.09308, section 4).

F(2, r) finds two neighbouring outputs of a filter of r taps in r + 1 products instead of 2 r, as y = A' [(G w) (B' x)];
in two dimensions 3x3 takes 16 instead of 36, and 2x2 takes 9 instead of 16. Over all tiles of an image, and all
channels, each of these products is one of matrices. With s x s pixels in the channels a stride of s is a stride of 1
(4x4 of stride 2 is 2x2). The entries of the matrices are 0, 1, -1 and 1/2, which adds next to nothing to round-off.
An infinity may become a NaN in the outputs and in the images' gradients that read it, and in no others; of a kernel's
gradient it spoils more than the taps that read it.

As <y, g> = sum of (G w) (B' x) (A g), the three functions of `convolutions` are the three partial derivatives:
conv A' [(G w) (B' x)], conv_input B [(G w) (A g)], conv_weight G' [(B' x) (A g)].
"""

import operator
from functools import reduce
from itertools import product
from math import prod
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax


class Filter(NamedTuple):
    """The matrices of F(2, taps), along one axis, and how many channels pay for them within a net (docs/speed.md)."""

    input: tuple  # B' (taps + 1, taps + 1)
    kernel: tuple  # G (taps + 1, taps)
    output: tuple  # A' (2, taps + 1)
    channels: float  # least C O / (C + O): products grow as C O, additions as C + O


FILTERS = {
    2: Filter(((1, -1, 0), (0, 1, 0), (0, -1, 1)), ((1, 0), (1, 1), (0, 1)), ((1, 1, 0), (0, 1, 1)), 40),
    3: Filter(
        ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)),
        ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)),
        ((1, 1, 1, 0), (0, 1, -1, 1)),
        24,
    ),
}
FLOATS = (jnp.float32, jnp.float64)  # a sum of four in bfloat16 has lost a digit
LEAST = 64  # pixels that come out: additions for a kernel are the same for any number
LARGEST = 2**27  # numbers of x and y together: the grids hold four times as many, 2 GiB of float32


def fits(shape, how, pixels, *dtypes):
    """Whether it can be done so, and pays: kernel (O, C / groups, kh, kw), outputs (N, h, w)."""
    taps = [k / s for k, s in zip(shape[2:], how.stride, strict=True)]
    if how.groups > 1 or how.dilation != (1, 1) or not all(n in FILTERS for n in taps):
        return False
    if len(set(dtypes)) > 1 or dtypes[0] not in FLOATS or min(pixels) < 1:
        return False
    outputs, inputs = shape[0], shape[1] * prod(how.stride)
    mean, count = outputs * inputs / (outputs + inputs), prod(pixels)
    pays = count >= LEAST and all(mean >= FILTERS[n].channels for n in taps)
    return pays and count * (outputs + inputs) <= LARGEST


def conv(x, w, how, places):
    """x (N, H, W, C), w (O, C, kh, kw) -> (N, *places, O)."""
    filters = of(w.shape[2:], how)
    return filtered("tc,oc->to", x, transformed_kernel(w, how, filters), how, places, filters)


def conv_input(g, w, how, size):
    """g (N, h, w, O) -> (N, *size, C)."""
    outer = tuple(k - 1 - p for k, p in zip(w.shape[2:], how.padding, strict=True))
    filters = of(w.shape[2:], how)
    grid = transformed_kernel(w, how, filters)  # the forward's: the compiler makes it once
    if how.stride == (1, 1) and min(outer) >= 0:  # as a convolution of g by the kernel from behind: nothing overlaps
        rows, columns = [[f.kernel.index(row[::-1]) for row in f.kernel] for f in filters]
        behind = [[grid[i][j] for j in columns] for i in rows]
        return filtered("to,oc->tc", g, behind, how._replace(padding=outer), size, filters)
    given = transformed_gradient(g, filters)
    tiles = as_tiles(products("to,oc->tc", given, grid), given)
    x = overlapped(both([transposed(f.input) for f in filters], tiles))
    return unblocked(x, how, size)


def filtered(sums, x, grid, how, places, filters):
    """A' [grid (B' x)]: every channel of what goes in meets every channel of what comes out, as the sums say."""
    given = transformed_input(x, how, places, filters)
    tiles = as_tiles(products(sums, given, grid), given)
    y = interleaved(both([f.output for f in filters], tiles))
    return y[:, : places[0], : places[1]]


def conv_weight(x, g, how, k):
    """x (N, H, W, C), g (N, h, w, O) -> (O, C, *k)."""
    filters, (sh, sw) = of(k, how), how.stride
    each = products("to,tc->oc", transformed_gradient(g, filters), transformed_input(x, how, g.shape[1:3], filters))
    w = jnp.stack([jnp.stack(row) for row in both([transposed(f.kernel) for f in filters], each)])
    w = w.reshape(*w.shape[:3], sh, sw, -1).transpose(2, 5, 0, 3, 1, 4)
    return w.reshape(g.shape[3], x.shape[3], *k)


def of(kernel, how):
    """The filters along the height and the width."""
    return [FILTERS[k // s] for k, s in zip(kernel, how.stride, strict=True)]


def transformed_input(x, how, places, filters):
    """B' x: a grid of arrays (N, tiles down, tiles across, C), one for each place of a tile."""
    count = tiled(places)
    sizes = [2 * n + len(f.kernel[0]) - 1 for n, f in zip(count, filters, strict=True)]
    x = blocked(x, how, sizes)
    return both([f.input for f in filters], strided(x, [len(f.input) for f in filters], count))


def transformed_gradient(g, filters):
    """A g, likewise. The frame of zeros is for the compiler: it never takes a pad into what reads it, and so what made
    g is not done again in each array of the grid."""
    count = tiled(g.shape[1:3])
    g = padded(g, [(1, 2 * n + 1 - length) for n, length in zip(count, g.shape[1:3], strict=True)])
    return both([transposed(f.output) for f in filters], strided(g, (2, 2), count, 1))


def transformed_kernel(w, how, filters):
    """G w: a grid of matrices (O, C), as C last in both is what a CPU reads and writes fast."""
    o, c, kh, kw = w.shape
    sh, sw = how.stride
    w = w.transpose(2, 3, 0, 1).reshape(kh // sh, sh, kw // sw, sw, o, c).transpose(0, 2, 4, 1, 3, 5)
    w = w.reshape(kh // sh, kw // sw, o, -1)
    return both([f.kernel for f in filters], [[w[i, j] for j in range(w.shape[1])] for i in range(w.shape[0])])


def tiled(places):
    """How many tiles of 2 x 2 outputs there are."""
    return [-(-n // 2) for n in places]


def strided(x, places, count, first=0):
    """The grid of the pixels at each place of all tiles, which begin at every other pixel."""
    rows, columns = [
        [slice(i, i + 2 * n - 1, 2) for i in range(first, first + m)] for m, n in zip(places, count, strict=True)
    ]
    return [[x[:, row, column] for column in columns] for row in rows]


def both(matrices, grid):
    """Down the columns of the grid one matrix, along its rows the other."""
    rows = zip(*[mixed(matrices[0], column) for column in zip(*grid, strict=True)], strict=True)
    return [mixed(matrices[1], row) for row in rows]


def mixed(matrix, arrays):
    """The product, of additions and subtractions."""
    terms = [[(n, x) for n, x in zip(row, arrays, strict=True) if n] for row in matrix]
    signed = lambda row, sign: [x if abs(n) == 1 else abs(n) * x for n, x in row if n * sign > 0]
    return [reduce(operator.sub, signed(row, -1), reduce(operator.add, signed(row, 1))) for row in terms]


def transposed(matrix):
    return tuple(zip(*matrix, strict=True))


def products(sums, left, right):
    """One product of matrices for each place of two grids; all tiles (t) are the rows of a matrix."""
    flat = lambda x: x.reshape(-1, x.shape[-1])
    pairs = [zip(*rows, strict=True) for rows in zip(left, right, strict=True)]
    return [[jnp.einsum(sums, flat(x), flat(y)) for x, y in row] for row in pairs]


def as_tiles(grid, like):
    """Matrices of a row a tile -> arrays (N, tiles down, tiles across, channels) again."""
    return [[x.reshape(*like[0][0].shape[:-1], -1) for x in row] for row in grid]


def interleaved(grid):
    """A grid of places -> (N, height, width, C)."""
    y = jnp.stack([jnp.stack(row, 3) for row in grid], 2)
    n, h, a, w, b, c = y.shape
    return y.reshape(n, h * a, w * b, c)


def overlapped(grid):
    """Tiles that begin at every other pixel, added where they overlap: the transpose of `strided`."""

    def place(i, j):
        later = [(k, m) for k, m in product((0, 1), repeat=2) if i + 2 * k < len(grid) and j + 2 * m < len(grid[0])]
        return sum(padded(grid[i + 2 * k][j + 2 * m], [(k, 1 - k), (m, 1 - m)]) for k, m in later)

    return interleaved([[place(i, j) for j in (0, 1)] for i in (0, 1)])


def blocked(x, how, sizes):
    """The padded image with the pixels of each block of the stride in the channels: (N, *sizes, sh sw C)."""
    (sh, sw), (n, h, w, c), (ph, pw) = how.stride, x.shape, how.padding
    x = padded(x, [(ph, sizes[0] * sh - h - ph), (pw, sizes[1] * sw - w - pw)])
    return x.reshape(n, sizes[0], sh, sizes[1], sw, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, *sizes, -1)


def unblocked(x, how, size):
    """The transpose of `blocked`: (N, *size, C)."""
    (sh, sw), (n, h, w, _) = how.stride, x.shape
    x = x.reshape(n, h, w, sh, sw, -1).transpose(0, 1, 3, 2, 4, 5).reshape(n, h * sh, w * sw, -1)
    return padded(x, [(-p, size[i] + p - x.shape[1 + i]) for i, p in enumerate(how.padding)])


def padded(x, pads):
    """Zeros around the height and the width; less than none cuts off."""
    return lax.pad(x, np.zeros((), x.dtype), [(0, 0, 0), *[(*pair, 0) for pair in pads], (0, 0, 0)])
