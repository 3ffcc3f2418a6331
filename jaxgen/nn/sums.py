"""Sums over many rows, and what has such sums for gradients. A CPU takes them as products with ones, which its compiler
keeps fast and on all cores, where it turns a large sum into slow windows; a GPU's compiler fuses them with what made
the rows. Everything here can be differentiated again, in reverse mode."""

from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from math import gcd

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import rsqrt, stop_gradient

BLOCKS = 256  # sums of sums: one float32 that runs over a large batch loses three digits


CHOSEN: ContextVar = ContextVar("chosen", default=None)  # a backend whose forms are taken, whatever runs them


@contextmanager
def forms_of(backend):
    """What is traced meanwhile has the forms of that backend. JAX may remember what was traced before: clear_caches."""
    token = CHOSEN.set(backend)
    try:
        yield
    finally:
        CHOSEN.reset(token)


def by_hand():
    """Whether this backend is given products for sums, and the canonical forms of convolutions."""
    return (CHOSEN.get() or jax.default_backend()) == "cpu"


def total(x):
    """(N, R, C) -> (N, C)."""
    if not by_hand():
        return x.sum(1)
    n, rows, channels = x.shape
    blocks = gcd(rows, max(1, BLOCKS // n))
    y = x.reshape(n * blocks, -1, channels)
    sums = jnp.matmul(jnp.ones((n * blocks, 1, y.shape[1]), x.dtype), y, precision="highest")
    return sums.reshape(n, blocks, channels).sum(1)


def average(x):
    """(M, C) -> (C,): means of blocks, then their mean, measured relative to the first. At the default precision of a
    device products would lose even more."""
    blocks = gcd(x.shape[0], BLOCKS)
    y = x.reshape(blocks, -1, x.shape[1])
    means = jnp.matmul(jnp.ones((blocks, 1, y.shape[1]), x.dtype), y, precision="highest")[:, 0] / y.shape[1]
    first = stop_gradient(means[0])
    return first + (means - first).mean(0)


def rows(x):
    """(..., C) -> (1, M, C)."""
    return x.reshape(1, -1, x.shape[-1])


@jax.custom_vjp
def scaled(x, scale, shift):
    """x (..., C) * scale (C,) + shift (C,)."""
    return x * scale + shift


scaled.defvjp(
    lambda x, scale, shift: (scaled(x, scale, shift), (x, scale)),
    lambda kept, g: (g * kept[1], total(rows(g * kept[0]))[0], total(rows(g))[0]),
)


@jax.custom_vjp
def shifted(x, shift):
    """x (N, ..., C) + shift, which is (C,), or has an axis of length 1 for each between the first and the last."""
    return x + shift


def shifted_back(shift, g):
    sums = total(rows(g))[0] if shift.ndim == 1 else total(g.reshape(g.shape[0], -1, g.shape[-1]))
    return g, sums.reshape(shift.shape)


shifted.defvjp(lambda x, shift: (shifted(x, shift), shift), shifted_back)


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def group_normalised(x, scale, shift, groups, eps):
    """x (N, R, C), of mean 0 and variance 1 over the rows and the channels of each group, then scaled and shifted."""
    return forward(x, scale, shift, groups, eps)[0]


def forward(x, scale, shift, groups, eps):
    """-> y, what its gradient needs. Relative to each group's first value a float32 mean keeps its digits."""
    near = x - stop_gradient(first(x[:, 0], groups))
    centred = near - mean(total(near) / x.shape[1], groups)
    inverse = rsqrt(mean(total(centred**2) / x.shape[1], groups) + eps)
    y = centred * inverse
    return y * scale + shift, (y, inverse, scale)


def backward(groups, eps, kept, g):
    """Two sums over the rows give all three gradients."""
    (y, inverse, scale), rows = kept, g.shape[1]
    plain, along = total(g), total(g * y)
    of = lambda sums: mean(scale * sums / rows, groups)
    return inverse * (g * scale - of(plain) - y * of(along)), along.sum(0), plain.sum(0)


group_normalised.defvjp(forward, backward)


def mean(x, groups):
    """(N, C) -> (N, 1, C): the mean of each group's channels, for all of them."""
    size = x.shape[1] // groups
    return within_groups(x, np.full((size, size), 1 / size))


def first(x, groups):
    """(N, C) -> (N, 1, C): each group's first channel, for all of them."""
    size = x.shape[1] // groups
    return within_groups(x, np.eye(size, 1) * np.ones(size))


def within_groups(x, matrix):
    """(N, C) -> (N, 1, C): each group's channels times a square matrix. A broadcast would go into the loops over the
    rows, which then look up the group of every channel in every row; a product never does."""
    y = jnp.matmul(x.reshape(-1, len(matrix)), matrix.astype(x.dtype), precision="highest")
    return y.reshape(x.shape[0], 1, x.shape[1])
