"""Instance norms that are nearly torch's."""

from jax.lax import rsqrt

from jaxgen import nn
from jaxgen.nn import norms
from jaxgen.parity.mutations.planting import calls, inside

right = norms.standardise


def eps(layer: nn.InstanceNorm2d):
    """eps: 1e-3, Keras' default."""
    layer.eps = 1e-3


def over_the_batch(layer: nn.InstanceNorm2d):
    """normalised over other axes: the rows too, as a batch norm."""
    inside(layer, norms, "standardise", lambda x, axes, eps: right(x, (0, *axes), eps))


def bias_missing(layer: nn.InstanceNorm2d):
    """bias missing: torch's default is affine=False, but this one has it."""
    if layer.bias is None:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, bias=0.0))


def one_pass(layer: nn.InstanceNorm2d):
    """variance in one pass: Flax's use_fast_variance, E[x^2] - E[x]^2."""
    inside(layer, norms, "standardise", fast)


def fast(x, axes, eps):
    mean = x.mean(axes, keepdims=True)
    return (x - mean) * rsqrt((x**2).mean(axes, keepdims=True) - mean**2 + eps)
