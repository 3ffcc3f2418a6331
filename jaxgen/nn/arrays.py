"""Arrays to be. A layer declares each of its arrays by shape and by the function that makes it from a key; the border
(`functional.py`) makes them, from a key of the array's path. So a module holds no arrays and needs no `rngs`."""

import math

import jax
import jax.numpy as jnp
from flax import nnx


class Array:
    """`make(key)` gives an array of `shape`."""

    def __init__(self, shape, make):
        self.shape, self.make = shape, make

    def __call__(self, key):
        return self.make(key, self.shape)


def uniform(bound, *shape, kind=nnx.Param):
    return kind(Array(shape, lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)))


def normal(mean, std, *shape):
    return nnx.Param(Array(shape, lambda key, shape: mean + std * jax.random.normal(key, shape)))


def constant(value, *shape, kind=nnx.Param, dtype=None):
    return kind(Array(shape, lambda key, shape: jnp.full(shape, value, dtype or float)))


def fan_in(*shape):
    """torch's default for Linear and convolutions, kaiming_uniform(a=sqrt(5)): U(-1/sqrt(n), 1/sqrt(n)), n the size of
    one row of the weight. For ConvTranspose2d torch counts the output channels, which stand where the inputs would."""
    return uniform(1 / math.sqrt(math.prod(shape[1:])), *shape)
