"""Losses that are nearly torch's."""

import jax.numpy as jnp

from jaxgen.nn import losses
from jaxgen.parity.mutations.planting import Replaced, says


def smooth_l1_not_divided_by_beta(family):
    """optax.huber_loss is beta times torch's smooth_l1_loss."""
    if not says(family, "beta="):
        return NotImplemented

    def make(right):
        return lambda x, target, *, beta=1.0, **how: beta * right(x, target, beta=beta, **how)

    return Replaced(losses, "smooth_l1_loss", make)


def smooth_l1_with_beta_one(family):
    """A port whose smooth L1 has no beta."""
    if not says(family, "beta="):
        return NotImplemented

    def make(right):
        return lambda x, target, *, beta=1.0, **how: right(x, target, **how)

    return Replaced(losses, "smooth_l1_loss", make)


def gradient_of_the_magnitude(family):
    """JAX's |x| has the slope 1 at exactly 0, torch's has 0."""

    def make(right):
        return lambda x, target, **how: losses.reduced(
            "l1_loss", lambda x, target: jnp.abs(x - target), x, target, **{"reduction": "mean"} | how
        )

    return Replaced(losses, "l1_loss", make)


def mse_halved(family):
    """optax.l2_loss is half of torch's mse_loss."""
    return Replaced(losses, "mse_loss", lambda right: lambda *args, **how: 0.5 * right(*args, **how))


def cross_entropy_summed(family):
    """Summed over the rows where torch's mean is taken; averaged over a row's pixels where torch sums them."""

    def make(right):
        def wrong(logits, target, *, reduction="mean"):
            values = right(logits, target, reduction="none")
            return values.sum() if reduction == "mean" else values / values.shape[-1]

        return wrong

    return Replaced(losses, "binary_cross_entropy_with_logits", make)


def cross_entropy_of_probabilities(family):
    """Logits passed where probabilities belong: clipped into [0, 1] they give numbers all the same."""

    def make(right):
        return lambda logits, target, **how: losses.binary_cross_entropy(
            jnp.clip(logits, 1e-7, 1 - 1e-7), target, **how
        )

    return Replaced(losses, "binary_cross_entropy_with_logits", make)


def gradient_through_the_clamp(family):
    """BCELoss by jnp.maximum(log p, -100): right forward, NaN or 0 backward where p is 0 or 1."""

    def wrong(p, target):
        return (target - 1) * jnp.maximum(jnp.log1p(-p), -100) - target * jnp.maximum(jnp.log(p), -100)

    return Replaced(losses, "clamped_cross_entropy", lambda right: wrong)


def logarithms_not_clamped(family):
    """BCELoss by the textbook: infinite where p is 0 or 1."""

    def wrong(p, target):
        return (target - 1) * jnp.log1p(-p) - target * jnp.log(p)

    return Replaced(losses, "clamped_cross_entropy", lambda right: wrong)


def in_float32(family):
    """.astype(jnp.float32) before the loss, whatever the precision of the run."""
    narrow = lambda right: (
        lambda name, function, x, *rest: right(name, function, x.astype(jnp.float32).astype(x.dtype), *rest)
    )
    return Replaced(losses, "reduced", narrow)


def targets_in_float32(family):
    """jnp.float32 written into the labels: zeros and ones are none the worse for it, and no value shows it."""

    def make(right):
        return lambda logits, target, **how: right(logits, target.astype(jnp.float32), **how)

    return Replaced(losses, "binary_cross_entropy_with_logits", make)
