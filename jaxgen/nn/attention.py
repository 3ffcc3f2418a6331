"""Attention by plain products, equal to torch's also where a mask leaves nothing to attend to."""

import math

import jax.numpy as jnp
from jax.lax import stop_gradient

from jaxgen.nn.autocast import full


def scaled_dot_product_attention(query, key, value, attn_mask=None, *, is_causal=False, scale=None):
    """query (..., L, E), key (..., S, E), value (..., S, V) -> (..., L, V). `attn_mask` (..., L, S): True where a query
    may look, or numbers added to the scores; of a query that may look nowhere comes 0."""
    shapes = f"query {query.shape}, key {key.shape}, value {value.shape}"
    if query.shape[-1:] != key.shape[-1:] or key.shape[-2:-1] != value.shape[-2:-1]:
        raise ValueError(f"scaled_dot_product_attention: expected (..., L, E), (..., S, E), (..., S, V), got {shapes}")
    if is_causal and attn_mask is not None:
        raise ValueError("scaled_dot_product_attention: give either attn_mask or is_causal")
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = full(jnp.einsum("...le,...se->...ls", query, key)) * scale
    if is_causal:
        attn_mask = jnp.tri(*scores.shape[-2:], dtype=bool)  # torch counts from the first query, whatever the lengths
    if attn_mask is not None:
        scores = jnp.where(attn_mask, scores, -jnp.inf) if attn_mask.dtype == bool else scores + attn_mask
    return jnp.einsum("...ls,...sv->...lv", softmax(scores).astype(value.dtype), value)


def softmax(scores):
    """Over the last axis; a row of minus infinities becomes zeros, where jax.nn.softmax gives NaN."""
    top = stop_gradient(scores.max(-1, keepdims=True))
    weights = jnp.exp(scores - jnp.where(top == -jnp.inf, 0, top))
    total = weights.sum(-1, keepdims=True)
    return weights / jnp.where(total == 0, 1, total)
