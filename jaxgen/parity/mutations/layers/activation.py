"""Activations that are nearly torch's."""

import jax
import jax.numpy as jnp

from jaxgen import nn
from jaxgen.parity.mutations.planting import calls


def tanh_gelu(layer: nn.GELU):
    """tanh approximation: the default of jax.nn.gelu."""
    if layer.tanh:
        return NotImplemented
    layer.tanh = True


def quick_gelu(layer: nn.GELU):
    """another activation: x sigmoid(1.702 x), as CLIP has it."""
    calls(layer, lambda right, self, x: x * jax.nn.sigmoid(1.702 * x))


def hard_swish(layer: nn.SiLU):
    """another activation: hard swish, the SiLU of small devices."""
    calls(layer, lambda right, self, x: jax.nn.hard_silu(x))


def hard_sigmoid(layer: nn.Sigmoid):
    """another activation: the sigmoid in three straight lines."""
    calls(layer, lambda right, self, x: jax.nn.hard_sigmoid(x))


def hard_tanh(layer: nn.Tanh):
    """another activation: clipped to [-1, 1]."""
    calls(layer, lambda right, self, x: jnp.clip(x, -1, 1))


def elu(layer: nn.ReLU):
    """another activation: ELU, the neighbour in the list."""
    calls(layer, lambda right, self, x: jax.nn.elu(x))


def default_slope(layer: nn.LeakyReLU):
    """negative slope: the default 0.01, where the source passes 0.2."""
    if layer.slope == 0.01:
        return NotImplemented
    layer.slope = 0.01


def leaky_relu_at_zero(layer: nn.LeakyReLU):
    """gradient at zero: jax.nn.leaky_relu lets all of it pass, torch the slope."""
    calls(layer, lambda right, self, x: jnp.where(x >= 0, x, self.slope * x))


def relu_at_zero(layer: nn.ReLU):
    """gradient at zero: jnp.maximum(x, 0) lets half of it pass, torch nothing."""
    calls(layer, lambda right, self, x: jnp.maximum(x, 0))
