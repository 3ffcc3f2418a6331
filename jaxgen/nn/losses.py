"""Losses with torch.nn.functional's names, reductions, clamps and gradients at kinks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.nn.autocast import full

REDUCTIONS = {"mean": jnp.mean, "sum": jnp.sum, "none": lambda x: x}


def reduced(name, elementwise, x, target, reduction):
    """In float32 at least. (N,) against (N, 1) would give (N, N) in silence."""
    if x.shape != target.shape:
        raise ValueError(f"{name}: expected two arrays of one shape, got {x.shape} and {target.shape}")
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction {reduction!r} is none of {', '.join(REDUCTIONS)}")
    return REDUCTIONS[reduction](elementwise(full(x), full(target)))


def binary_cross_entropy(p, target, *, reduction="mean"):
    """p, target in [0, 1], of one shape; logarithms are clamped at -100."""
    return reduced("binary_cross_entropy", clamped_cross_entropy, p, target, reduction)


@jax.custom_vjp
def clamped_cross_entropy(p, target):
    return (target - 1) * jnp.maximum(jnp.log1p(-p), -100) - target * jnp.maximum(jnp.log(p), -100)


def clamped_cross_entropy_gradients(r, g):
    """torch's, which ignore the clamp. The denominator never falls below the float32 value of 1e-12, whatever p is."""
    p, target = r
    return g * (p - target) / jnp.maximum(p * (1 - p), float(np.float32(1e-12))), g * (jnp.log1p(-p) - jnp.log(p))


clamped_cross_entropy.defvjp(
    lambda p, target: (clamped_cross_entropy(p, target), (p, target)), clamped_cross_entropy_gradients
)


def binary_cross_entropy_with_logits(logits, target, *, reduction="mean"):
    """The same of sigmoid(logits), at any size of the logits."""
    return reduced("binary_cross_entropy_with_logits", optax.sigmoid_binary_cross_entropy, logits, target, reduction)


def mse_loss(x, target, *, reduction="mean"):
    return reduced("mse_loss", lambda x, target: (x - target) ** 2, x, target, reduction)


def l1_loss(x, target, *, reduction="mean"):
    return reduced("l1_loss", lambda x, target: magnitude(x - target), x, target, reduction)


def smooth_l1_loss(x, target, *, reduction="mean", beta=1.0):
    """Quadratic below `beta`, and divided by it; L1 at beta 0."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(x, target, reduction=reduction)

    def huber(x, target):
        size = magnitude(x - target)
        return jnp.where(size < beta, 0.5 * (x - target) ** 2 / beta, size - 0.5 * beta)

    return reduced("smooth_l1_loss", huber, x, target, reduction)


def magnitude(x):
    """|x| with torch's gradient: 0 at 0, where JAX's is 1."""
    return x * jax.lax.stop_gradient(jnp.sign(x))
