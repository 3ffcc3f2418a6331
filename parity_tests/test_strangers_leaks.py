"""A check in float64 that is float32 somewhere proves nothing: strangers' ports are refused with the line that does it,
and torch is kept from it."""

import jax
import jax.numpy as jnp
import pytest
import torch
from flax import linen, nnx
from test_strangers import TURN, Made, Net, checked, dense, failed
from torch import nn
from torch.nn import functional as F

from jaxgen import parity


def heads(x):
    return x.reshape(*x.shape[:2], 2, 2)


def attention():
    def call(self, x):
        query, key, value = (x.unflatten(-1, (2, 2)).transpose(1, 2) for x in self.fc(x).chunk(3, -1))
        return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

    return Net(call, fc=nn.Linear(4, 12))


def test_the_attention_of_jax_is_a_leak_with_the_users_own_line():
    def call(self, x):
        query, key, value = map(heads, jnp.split(self.fc(x), 3, -1))
        return jax.nn.dot_product_attention(query, key, value).reshape(x.shape)

    port = Made(call, fc=nnx.Linear(4, 12, rngs=nnx.Rngs(0)))
    result = checked(attention(), port, {"x": (2, 3, 4)}, only=("leaks",))
    assert failed(result) == {"leaks"}
    line = call.__code__.co_firstlineno + 2
    assert f"float32 at test_strangers_leaks.py:{line} (" in next(row.where for row in result if not row.ok)
    assert "first in leaks" in result.verdict


def test_the_attention_of_linen_is_none():
    class Port(linen.Module):
        @linen.compact
        def __call__(self, x):
            query, key, value = map(heads, jnp.split(linen.Dense(12)(x), 3, -1))
            return linen.dot_product_attention(query, key, value).reshape(x.shape)

    checked(attention(), Port(), {"x": (2, 3, 4)}, only=("leaks", "outputs", "losses")).assert_ok()


@pytest.mark.parametrize(
    "narrow", [lambda x: x.astype(jnp.float32), lambda x: x * jnp.sin(jnp.float32(1.0))], ids=["cast", "literal"]
)
def test_an_explicit_cast_is_a_leak(narrow):
    port = Made(lambda self, x: narrow(self.fc(x)), fc=dense())
    result = checked(Net(lambda self, x: self.fc(x), fc=nn.Linear(3, 4)), port, only=("leaks",))
    assert failed(result) == {"leaks"} and "test_strangers_leaks.py:" in str(result)


def test_a_layer_with_a_type_of_its_own():
    """NNX lets it be changed on a copy, so it is checked in float64; of Linen it is a leak."""
    net = nn.Sequential(nn.Linear(3, 4))
    checked(net, nnx.Sequential(dense(dtype=jnp.float32)), only=(*TURN, "leaks")).assert_ok()
    result = checked(net, linen.Sequential([linen.Dense(4, dtype=jnp.float32)]), only=("leaks",))
    assert failed(result) == {"leaks"} and "float32" in str(result)


def test_torch_is_not_narrowed_by_its_own_casts():
    """Nor by its default type: else the truth would have seven digits."""

    def call(self, x):
        h = self.fc(x)
        scale = torch.exp(-torch.arange(4) / 4 * 3.3) * torch.rsqrt(h.float().pow(2).mean(-1, keepdim=True) + 1e-6)
        return h * scale.to(torch.float32)

    def ours(self, x):
        h = self.fc(x)
        return h * jnp.exp(-jnp.arange(4) / 4 * 3.3) * jax.lax.rsqrt((h**2).mean(-1, keepdims=True) + 1e-6)

    checked(Net(call, fc=nn.Linear(3, 4)), Made(ours, fc=dense()), only=(*TURN, "leaks")).assert_ok()
    assert torch.get_default_dtype() == torch.float32


def made_nan(x):
    return x * jnp.nan


def narrowed(x):
    return x.astype(jnp.float32)


@pytest.mark.parametrize(
    "fault, words",
    [
        (made_nan, "output is NaN or infinite in JAX"),
        (narrowed, "computes in less: convert_element_type in float32 at"),
    ],
)
def test_the_verdict_names_what_is_not_a_number_or_too_narrow(fault, words):
    """In one line, and not as a fault of the loss, which only inherits it."""
    port = nnx.Sequential(nnx.Linear(3, 4, rngs=nnx.Rngs(0)), fault)
    case = parity.case(torch.nn.Sequential(torch.nn.Linear(3, 4)), port, {"x": (5, 3)})
    assert words in str(parity.diagnose(case))
