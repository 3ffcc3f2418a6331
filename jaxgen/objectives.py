"""What the two players of a GAN minimise, found by name: losses of the discriminator's logits, (N,) each."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxgen import nn

Name = Literal["bce", "bce_half", "documented", "documented_half"]


class Objective(NamedTuple):
    disc: Callable  # (real logits, fake logits) -> scalar
    gen: Callable  # (fake logits) -> scalar


def named(name):
    return globals()[name]


def logits_towards(logits, label):
    return nn.binary_cross_entropy_with_logits(logits, jnp.full_like(logits, label))


def probability_towards(logits, label):
    """As printed: a Sigmoid, then BCELoss, whose logarithms stop at -100."""
    return nn.binary_cross_entropy(jax.nn.sigmoid(nn.full(logits)), jnp.full_like(logits, label))


def non_saturating(towards, weight):
    """Goodfellow et al. (2014), section 3: the generator maximises log D(G(z))."""
    return Objective(
        disc=lambda real, fake: weight * (towards(real, 1.0) + towards(fake, 0.0)),
        gen=lambda fake: towards(fake, 1.0),
    )


bce = non_saturating(logits_towards, 1.0)
bce_half = non_saturating(logits_towards, 0.5)
documented = non_saturating(probability_towards, 1.0)
documented_half = non_saturating(probability_towards, 0.5)
