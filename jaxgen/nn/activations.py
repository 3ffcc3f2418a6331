"""Activations with torch's defaults and torch's gradients at kinks, and Dropout."""

import jax
import jax.numpy as jnp
from flax import nnx


def relu(x):
    return jnp.where(x <= 0, 0, x)  # at NaN torch lets the gradient pass, jax.nn.relu stops it


class ReLU(nnx.Module):
    def __call__(self, x):
        return relu(x)


class LeakyReLU(nnx.Module):
    def __init__(self, negative_slope=0.01):
        self.slope = negative_slope

    def __call__(self, x):
        return jnp.where(x > 0, x, self.slope * x)  # at 0 torch takes the slope, jax.nn.leaky_relu takes 1


class GELU(nnx.Module):
    """`approximate` is "none" (erf, torch's default) or "tanh" (JAX's default)."""

    def __init__(self, approximate="none"):
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate {approximate!r} is neither 'none' nor 'tanh'")
        self.tanh = approximate == "tanh"

    def __call__(self, x):
        return jax.nn.gelu(x, approximate=self.tanh)


class SiLU(nnx.Module):
    def __call__(self, x):
        return jax.nn.silu(x)


class Sigmoid(nnx.Module):
    def __call__(self, x):
        return jax.nn.sigmoid(x)


class Tanh(nnx.Module):
    def __call__(self, x):
        return jnp.tanh(x)


class Dropout(nnx.Module):
    """Draws nothing: the border hands it a mask for each call (True: kept)."""

    training, mask = True, None

    def __init__(self, p=0.5):
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: expected a probability in [0, 1), got {p}")
        self.p = p

    def __call__(self, x):
        return x * self.mask(x.shape, self.p) / (1 - self.p) if self.training else x
