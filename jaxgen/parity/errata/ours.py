"""What several mends ask of a family: weights and shapes without compiling its initial distributions."""

import jax
import jax.numpy as jnp
import numpy as np


def filled(family):
    """Parameters and statistics of the family's shapes: positive random numbers, so that a variance is one too."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(family.init, jax.random.key(0))
    return jax.tree.map(lambda x: jnp.asarray(abs(rng.normal(size=x.shape)), x.dtype), shapes)


def shape_of_samples(family, count=2):
    """Of so many images, of which none is computed."""
    make = lambda key: family.sample(*family.init(key), family.draw_sample(key, count))
    return jax.eval_shape(make, jax.random.key(0)).shape
