"""Attention"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jax.nn.initializers import zeros

from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Differs, off
from jaxgen.parity.semantics.sides import array, normal, quick, tensor

torch = needs("torch", "verify")
F = torch.nn.functional

N, T, E, H, D = 2, 4, 6, 2, 3  # rows, tokens, width, heads, width of a head


def _torch():
    """-> MultiheadAttention with a bias that is not zero, its arrays."""
    layer = torch.nn.MultiheadAttention(E, H, batch_first=True).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(tensor(normal(*parameter.shape)))
    return layer, {name: array(x) for name, x in layer.state_dict().items()}


def _packed(held, weights):
    """{query, key, value, out: {kernel, bias}}; `weights` makes a (E, H, D) kernel of a (E, E) part."""
    parts = zip(held["in_proj_weight"].reshape(3, E, E), held["in_proj_bias"].reshape(3, H, D), strict=True)
    inner = {
        name: {"kernel": weights(w), "bias": b} for name, (w, b) in zip(("query", "key", "value"), parts, strict=True)
    }
    return inner | {"out": {"kernel": held["out_proj.weight"].T.reshape(H, D, E), "bias": held["out_proj.bias"]}}


def _flax(params, x, mask=None):
    """MultiHeadDotProductAttention of linen, and of nnx with linen's function of attention, which stays in float64."""
    how = {"num_heads": H, "kernel_init": zeros}

    def both(params, x):
        layer = nnx.eval_shape(
            lambda: nnx.MultiHeadAttention(
                in_features=E, decode=False, rngs=nnx.Rngs(0), attention_fn=_in_float64, **how
            )
        )
        for name, arrays in params.items():
            for key, value in arrays.items():
                getattr(getattr(layer, name), key).set_value(value)
        module = linen.MultiHeadDotProductAttention(**how)
        return [module.apply({"params": params}, x, mask=mask), layer(x, mask=mask)]

    return quick(both, params, x)


def _in_float64(q, k, v, mask=None, **rest):
    return linen.dot_product_attention(q, k, v, mask=mask)


def packing():
    """MultiheadAttention: weights
    torch: in_proj_weight (3 E, E): rows of q, then k, then v
    jax: query, key, value (E, heads, E / heads); a part loads without a transpose
    do: part.T.reshape(E, H, E / H), bias.reshape(H, E / H); out_proj.weight.T.reshape(H, E / H, E)
    """
    x, (layer, held) = normal(N, T, E), _torch()
    want = layer(tensor(x), tensor(x), tensor(x))[0].detach()
    naive, mapped = (_packed(held, how) for how in (lambda w: w.reshape(E, H, D), lambda w: w.T.reshape(E, H, D)))
    return Differs(off(want, *_flax(naive, x)), off(want, *_flax(mapped, x)))


def masks():
    """MultiheadAttention: boolean masks
    torch: True is left out (attn_mask, key_padding_mask); in scaled_dot_product_attention True takes part
    jax: True takes part
    do: ~mask for MultiheadAttention's; ~key_padding_mask[:, None, None]
    """
    x, (layer, held), mask = normal(N, T, E), _torch(), np.indices((T, T)).sum(0) % 2 == 0
    params, padding = _packed(held, lambda w: w.T.reshape(E, H, D)), mask[:N]
    want = layer(*[tensor(x)] * 3, attn_mask=tensor(mask))[0].detach()
    padded = layer(*[tensor(x)] * 3, key_padding_mask=tensor(padding))[0].detach()
    given = mask, ~mask, ~padding[:, None, None]
    naive, inverted, unpadded = quick(lambda x: [_flax(params, x, each) for each in given], x)
    q, k, v = (normal(N, T, H, D, seed=i) for i in range(3))
    ours = quick(lambda q, k, v: linen.dot_product_attention(q, k, v, mask=mask), q, k, v)
    theirs = F.scaled_dot_product_attention(*(tensor(x).transpose(1, 2) for x in (q, k, v)), attn_mask=tensor(mask))
    mapped = off(want, *inverted) + off(padded, *unpadded) + off(theirs.transpose(1, 2), ours)
    return Differs(off(want, *naive), mapped)


def masked_row():
    """Attention: a row that may attend to nothing
    torch: scaled_dot_product_attention gives 0, MultiheadAttention NaN
    jax: the mean of all values
    do: jnp.where(mask.any(-1)[:, None, None], y, 0), y being (N, tokens, heads, width)
    """
    q, k, v = (normal(N, T, H, D, seed=i) for i in range(3))
    mask = np.ones((T, T), bool)
    mask[1] = False
    want = F.scaled_dot_product_attention(*(tensor(x).transpose(1, 2) for x in (q, k, v)), attn_mask=tensor(mask))
    want = want.transpose(1, 2)
    attend = lambda q, k, v: [f(q, k, v, mask=mask) for f in _FUNCTIONS]
    naive = quick(attend, q, k, v)
    mapped = np.where(mask.any(-1)[:, None, None], naive[0], 0)
    x, (layer, _) = normal(N, T, E), _torch()
    nans = layer(*[tensor(x)] * 3, attn_mask=tensor(~mask))[0].isnan().any(2)[:, 1]
    told = off(v.mean(1), naive[0][:, 1]) + off(1.0, float(nans.all()))
    return Differs(off(want, *naive), off(want, mapped) + told)


_FUNCTIONS = linen.dot_product_attention, nnx.dot_product_attention, jax.nn.dot_product_attention


def float64():
    """Attention in float64
    torch: float64 throughout
    jax: jax.nn.dot_product_attention and nnx.dot_product_attention take the softmax in float32
    do: linen.dot_product_attention; nnx.MultiHeadAttention(..., attention_fn=lambda q, k, v, mask=None, **_:
    linen.dot_product_attention(q, k, v, mask=mask))
    """
    q, k, v = (normal(N, T, H, D, seed=i) for i in range(3))
    want = F.scaled_dot_product_attention(*(tensor(x).transpose(1, 2) for x in (q, k, v))).transpose(1, 2)
    right, *naive = quick(lambda q, k, v: [f(q, k, v) for f in _FUNCTIONS], q, k, v)
    return Differs(off(want, *naive), off(want, right), least=1e-9)  # what float32 leaves of it


def layout():
    """Attention: axes
    torch: scaled_dot_product_attention takes (N, heads, tokens, width)
    jax: (N, tokens, heads, width); as many heads as tokens and no shape can tell
    do: jnp.swapaxes(x, 1, 2)
    """
    q, k, v = (normal(N, T, T, D, seed=i) for i in range(3))
    want = F.scaled_dot_product_attention(tensor(q), tensor(k), tensor(v))
    attend = lambda *qkv: linen.dot_product_attention(*qkv)
    mapped = lambda *qkv: jnp.swapaxes(attend(*(jnp.swapaxes(x, 1, 2) for x in qkv)), 1, 2)
    return Differs(off(want, quick(attend, q, k, v)), off(want, quick(mapped, q, k, v)))
