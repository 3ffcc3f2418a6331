"""Noise for samples: image i depends on the key and on i alone, not on how many are drawn, in which batch, or where."""

from functools import partial

import jax
import jax.numpy as jnp


def normal(key, count, *shape, first=0):
    """(count, *shape): standard normal noise for the images first, first + 1, ..."""
    return jax.vmap(lambda key: jax.random.normal(key, shape))(each(key, count, first))


def uniform(key, count, *shape, first=0):
    """(count, *shape): uniform in [0, 1)."""
    return jax.vmap(lambda key: jax.random.uniform(key, shape))(each(key, count, first))


def keys(key, count, first=0):
    """(count, words) uint32, the data of a key an image: for a sampler that adds noise at every step, more than memory
    holds at once."""
    return jax.random.key_data(each(key, count, first))


def each(key, count, first):
    """A key of its own for each image."""
    return jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(count))


def of_step(given, shape):
    """-> i -> (count, *shape): the noise of step i, made of keys, or cut out of an array (count, steps, *shape)."""
    if given.dtype != jnp.uint32:
        return lambda i: jax.lax.dynamic_index_in_dim(given, i, 1, keepdims=False)
    keys = jax.random.wrap_key_data(given)
    return lambda i: jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, i), shape))(keys)


def written(given, steps, shape):
    """(count, steps, *shape): what `of_step` makes of keys, all of it."""
    return jnp.stack([of_step(given, shape)(i) for i in range(steps)], 1)
