"""Attention by plain products, equal to torch's also where a mask leaves nothing to attend to."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.lax import stop_gradient

from jaxgen.nn.autocast import full
from jaxgen.nn.sums import by_hand

MANY, BLOCK = 2**21, 2**20  # scores from which a CPU makes them by blocks, and of a block (docs/speed.md)


def scaled_dot_product_attention(query, key, value, attn_mask=None, *, is_causal=False, scale=None):
    """query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V). `attn_mask` (..., L, S): True where a query
    may look, or numbers added to the scores; of a query that may look nowhere comes 0."""
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if query.shape[-1:] != key.shape[-1:] or key.shape[-2:-1] != value.shape[-2:-1]:
        raise ValueError(f"scaled_dot_product_attention: expected (..., L, E), (..., S, E), (..., S, V), got {shapes}")
    if is_causal and attn_mask is not None:
        raise ValueError("scaled_dot_product_attention: give either attn_mask or is_causal")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    mix = partial(mixed, attn_mask=attn_mask, is_causal=is_causal)
    query = (full(query) * scale).astype(query.dtype)  # of fewer numbers than the scores are
    alike = query.ndim > 2 and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
    scores = math.prod(query.shape[:-1]) * key.shape[-2]
    if attn_mask is None and alike and scores >= MANY and by_hand():
        flat = [x.reshape(-1, *x.shape[-2:]) for x in (query, key, value)]
        rows = max(1, BLOCK // (query.shape[-2] * key.shape[-2]))
        return jax.lax.map(lambda qkv: mix(*qkv), flat, batch_size=rows).reshape(*query.shape[:-1], value.shape[-1])
    return mix(query, key, value)


def mixed(query, key, value, attn_mask, is_causal):
    """The values by the softmax of the scores; of a row of minus infinities, where jax.nn.softmax gives NaN, zeros."""
    scores = full(jnp.einsum("...le,...se->...ls", query, key))
    if is_causal:
        attn_mask = jnp.tri(*scores.shape[-2:], dtype=bool)  # torch counts from the first query, whatever the lengths
    if attn_mask is not None:
        scores = jnp.where(attn_mask, scores, -jnp.inf) if attn_mask.dtype == bool else scores + attn_mask
    top = stop_gradient(scores.max(-1, keepdims=True))
    weights = jnp.exp(scores - jnp.where(top == -jnp.inf, 0, top))
    total = weights.sum(-1, keepdims=True)
    total = jnp.where(total == 0, 1, total)
    if value.dtype != weights.dtype:  # a float16 does not hold what is not divided yet
        return jnp.einsum("...ls,...sv->...lv", (weights / total).astype(value.dtype), value)
    return jnp.einsum("...ls,...sv->...lv", weights, value) / total
