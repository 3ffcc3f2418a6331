"""Clipping that is nearly torch's."""

import jax
import jax.numpy as jnp
import optax

from jaxgen import optim
from jaxgen.parity.mutations.planting import Replaced


def clip(make):
    """`make(largest norm)` in place of clip_grad_norm."""
    return Replaced(optim, "clip_grad_norm", lambda right: make)


def without_the_constant(family):
    """optax.clip_by_global_norm divides by the norm, torch by the norm and 1e-6 more."""
    return clip(optax.clip_by_global_norm)


def by_value(family):
    """clip_grad_value_ for clip_grad_norm_."""
    return clip(optax.clip)


def each_array_by_itself(family):
    """Every array's own norm, as optax.clip_by_block_rms and AGC have it."""

    def make(most):
        cut = lambda g: g * jnp.minimum(1.0, most / (jnp.linalg.norm(g) + 1e-6))
        return optax.stateless(lambda grads, params: jax.tree.map(cut, grads))

    return clip(make)


def normalised(family):
    """Scaled to the norm even where it is smaller."""

    def make(most):
        return optax.stateless(lambda grads, params: jax.tree.map(lambda g: most / optax.tree.norm(grads) * g, grads))

    return clip(make)
