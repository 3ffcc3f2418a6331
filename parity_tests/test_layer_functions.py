"""The functions of jaxgen.nn that are no losses against torch.nn.functional: values, gradients, second derivatives."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from layer_pairs import QUICK, assert_same, gradients, titled
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from jaxgen import nn

Q, K, V = (2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 7)
SOME = np.random.default_rng(2).uniform(size=(2, 1, 5, 6)) > 0.4
SOME[:, :, 0] = True
NONE = SOME & (np.arange(5)[:, None] != 2)  # the third query may look nowhere
ADDED = np.where(NONE, np.random.default_rng(3).normal(size=NONE.shape), -np.inf)

ATTENTION = {
    "plain": ((Q, K, V), {}),
    "without heads": (((5, 5, 4), (5, 6, 4), (5, 6, 7)), {}),
    "scale": ((Q, K, V), {"scale": 0.3}),
    "causal": ((Q, Q, Q), {"is_causal": True}),
    "causal, more keys": ((Q, K, V), {"is_causal": True}),
    "causal, more queries": ((K, Q, Q), {"is_causal": True}),
    "mask": ((Q, K, V), {"attn_mask": SOME}),
    "mask of a whole row": ((Q, K, V), {"attn_mask": NONE}),
    "numbers, minus infinities among them": ((Q, K, V), {"attn_mask": ADDED}),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_torchs(name):
    compare_attention(name)


IN_BLOCKS = ["plain", "without heads", "scale", "causal", "causal, more keys", "causal, more queries"]


@pytest.mark.parametrize("name", IN_BLOCKS)
def test_attention_in_blocks_is_torchs(name, monkeypatch):
    """Also where the last block is a smaller one."""
    by_blocks(monkeypatch)
    compare_attention(name)


@pytest.mark.parametrize("name", ATTENTION)
def test_blocks_are_taken_where_no_mask_is_given(name, monkeypatch):
    by_blocks(monkeypatch)
    shapes, options = ATTENTION[name]
    program = jax.make_jaxpr(lambda *qkv: nn.scaled_dot_product_attention(*qkv, **options))(*map(jnp.ones, shapes))
    assert ("scan" in str(program)) == (name in IN_BLOCKS)


def by_blocks(monkeypatch):
    module = inspect.getmodule(nn.scaled_dot_product_attention)
    monkeypatch.setattr(module, "MANY", 0)
    monkeypatch.setattr(module, "BLOCK", 4 * 5 * 6)  # four of the five or six products of queries and keys


def compare_attention(name):
    shapes, options = ATTENTION[name]
    random = np.random.default_rng(0)
    values = {key: random.normal(size=shape) for key, shape in zip("qkv", shapes, strict=True)}
    probes = {key: random.normal(size=x.shape) for key, x in values.items()}
    assert_same(here(values, probes, options), there(values, probes, options))


def there(values, probes, options):
    """By torch's own choice of a kernel; some have no second derivative, which the plain one gives."""
    free = {key: torch.tensor(x, requires_grad=True) for key, x in values.items()}
    tensors = {key: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for key, x in options.items()}
    attend = lambda: F.scaled_dot_product_attention(*free.values(), **tensors)
    y = attend()
    first = gradients(y.sin().sum(), free)
    with sdpa_kernel(SDPBackend.MATH):
        again = gradients(attend().sin().sum(), free)
    second = gradients(sum((torch.from_numpy(probes[key]) * x).sum() for key, x in again.items()), free)
    found = {"y": y, **titled("by", first), **titled("twice by", second)}
    return {key: x.detach().numpy() for key, x in found.items()}


def here(values, probes, options):
    attend = lambda free: nn.scaled_dot_product_attention(*map(free.get, "qkv"), **options)
    slope = jax.grad(lambda free: jnp.sin(attend(free)).sum())

    def record(free):
        along = lambda free: sum((probes[key] * x).sum() for key, x in slope(free).items())
        first, second = slope(free), jax.grad(along)(free)
        return attend(free), first, second

    y, first, second = jax.jit(record, compiler_options=QUICK)(values)
    found = {"y": y, **titled("by", first), **titled("twice by", second)}
    return {key: np.asarray(x) for key, x in found.items()}


@pytest.mark.parametrize(
    "shapes, options, words",
    [
        ((Q, (2, 3, 6, 5), V), {}, r"\(2, 3, 6, 5\)"),
        ((Q, K, (2, 3, 7, 7)), {}, r"\(2, 3, 7, 7\)"),
        ((Q, K, V), {"attn_mask": SOME, "is_causal": True}, "attn_mask or is_causal"),
    ],
)
def test_attention_refuses_what_torch_refuses(shapes, options, words):
    tensors = {key: torch.from_numpy(x) if isinstance(x, np.ndarray) else x for key, x in options.items()}
    with pytest.raises(RuntimeError):
        F.scaled_dot_product_attention(*map(torch.ones, shapes), **tensors)
    with pytest.raises(ValueError, match=f"^scaled_dot_product_attention: .*{words}"):
        nn.scaled_dot_product_attention(*map(np.ones, shapes), **options)


@pytest.mark.parametrize(
    "name", ["without the scale", "one row after the other", "a whole row as NaN", "blocks", "halves"]
)
def test_fault_in_attention_is_seen(name, monkeypatch):
    case, right, wrong = {
        "without the scale": ("plain", "1 / math.sqrt(query.shape[-1])", "1.0"),
        "one row after the other": ("causal, more keys", "jnp.tri(*scores.shape[-2:], dtype=bool)",
                                    "jnp.tri(*scores.shape[-2:], 1, dtype=bool)"),
        "a whole row as NaN": ("mask of a whole row", "jnp.where(total == 0, 1, total)", "total"),
        "blocks": ("plain", "batch_size=rows).reshape", "batch_size=rows)[::-1].reshape"),
        "halves": (None, "weights / total).astype(value.dtype), value)",
                   "weights).astype(value.dtype), value) / total"),
    }[name]  # fmt: skip
    by_blocks(monkeypatch)
    module = inspect.getmodule(nn.scaled_dot_product_attention)
    text = inspect.getsource(module)
    assert text.count(right) == 1
    exec(text.replace(right, wrong), faulty := {})
    faulty |= {"MANY": module.MANY, "BLOCK": module.BLOCK}
    monkeypatch.setattr(nn, "scaled_dot_product_attention", faulty["scaled_dot_product_attention"])
    with pytest.raises(AssertionError):
        compare_attention(case) if case else compare_in_float16()


def test_attention_mixes_in_single_precision():
    """Scores of bfloat16 are turned into weights in float32."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=Q), jnp.bfloat16)
    y = nn.scaled_dot_product_attention(x, x, x)
    want = nn.scaled_dot_product_attention(*[x.astype(jnp.float32)] * 3)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(jnp.float32), want, rtol=0, atol=2**-7 * float(abs(want).max()))


def compare_in_float16():
    """The sum of the values is beyond 65,504, their mean is not."""
    x, value = jnp.ones((6, 4), jnp.float16), jnp.full((6, 4), 3e4, jnp.float16)
    np.testing.assert_allclose(nn.scaled_dot_product_attention(x, x, value), value, rtol=2**-9)


def test_attention_holds_what_float16_holds():
    compare_in_float16()


@pytest.mark.parametrize("how", [{}, {"mode": "bilinear"}, {"mode": "bilinear", "align_corners": True}], ids=str)
@pytest.mark.parametrize("size", [(7, 4), 3])
def test_interpolate_is_torchs(size, how):
    """The rest of it is tested as `Upsample`, which calls it."""
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 8))
    want = F.interpolate(torch.from_numpy(x), size, **how).movedim(1, -1).numpy()
    have = nn.interpolate(jnp.moveaxis(x, 1, -1), size, **how)
    np.testing.assert_allclose(have, want, rtol=0, atol=1e-12)
