"""Noise for samples: image i depends on the key and on i alone, not on how many are drawn, in which batch, or where."""

from functools import partial

import jax
import jax.numpy as jnp


def normal(key, count, *shape, first=0):
    """(count, *shape): standard normal noise for the images first, first + 1, ..."""
    keys = jax.vmap(partial(jax.random.fold_in, key))(first + jnp.arange(count))
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)
