"""torch.autocast's two rules: products are taken in half precision, what needs its digits in full."""

import jax.numpy as jnp

from jaxgen.nn.sums import by_hand, shifted


def half(layer, x, weight):
    """Both in the layer's compute type, where it has one; float64 is never narrowed."""
    if layer.compute is None or jnp.promote_types(x.dtype, weight.dtype) == jnp.float64:
        return x, weight
    return x.astype(layer.compute), weight.astype(layer.compute)


def added(x, shift):
    """x + shift in float32 at least: the gradient of a `shift` that is spread over rows or pixels is a sum of many."""
    spread = jnp.ndim(shift) in (1, jnp.ndim(x)) and shift.size < x.size and shift.shape[-1] == x.shape[-1]
    return (shifted(full(x), shift) if spread and by_hand() else full(x) + shift).astype(x.dtype)


def full(x):
    """Half precision becomes float32, all else stays as it is."""
    return x.astype(jnp.float32) if jnp.result_type(x) in (jnp.bfloat16, jnp.float16) else x
