"""Embeddings that are nearly torch's."""

import jax.numpy as jnp

from jaxgen import nn
from jaxgen.parity.mutations.planting import calls


def from_one(layer: nn.Embedding):
    """index shifted by one: a row is kept for padding, or classes are counted from 1."""
    calls(layer, lambda right, self, x: right(self, jnp.minimum(x + 1, self.length - 1)))
