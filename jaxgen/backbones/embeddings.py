"""Times and places as waves of many lengths (Vaswani et al., 2017)."""

import math

import jax.numpy as jnp
import numpy as np

from jaxgen.errors import UserError


def sinusoidal(x, features, flip_sin_to_cos=False, freq_shift=0):
    """x (...) -> (..., features): sines, then cosines (flipped: the other way round) of x times rates that fall from 1
    to about 1 / 10000; with `freq_shift` 1 the last is exactly that."""
    if features % 2:
        raise UserError(f"sinusoidal: expected an even number of features, a sine and a cosine each, got {features}.")
    half = features // 2
    rates = np.exp(-math.log(10000) * np.arange(half) / (half - freq_shift))  # in double precision, then rounded
    angles = x[..., None] * jnp.asarray(rates, x.dtype)
    waves = jnp.sin(angles), jnp.cos(angles)
    return jnp.concatenate(waves[::-1] if flip_sin_to_cos else waves, -1)


def places(side, features, like):
    """-> (side side, features): half of the features tell the row of each place, half its column."""
    waves = sinusoidal(jnp.arange(side, dtype=like.dtype), features // 2)
    shape = side, side, features // 2
    rows, columns = jnp.broadcast_to(waves[:, None], shape), jnp.broadcast_to(waves, shape)
    return jnp.concatenate([rows, columns], -1).reshape(-1, features)
