"""Pairs that nobody here wrote: inputs and outputs of every kind, functions, and bad input in one clear line."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import linen, nnx
from torch import nn
from torch.nn import functional as F

from jaxgen import parity
from jaxgen.errors import UserError
from jaxgen.parity.maps import constant

TURN = ("outputs", "losses", "gradients", "inputs")
LABELS = np.array([0, 4, 2, 2, 1])


def failed(result):
    return {row.level for row in result if not row.ok}


def case(net, port, inputs=None, **how):
    return parity.case(net, port, {"x": (5, 3)} if inputs is None else inputs, **how)


def checked(*args, only=TURN, **how):
    torch.manual_seed(0)
    return parity.verify(case(*args, **how), trajectory=0, only=only)


def refused(*args, **how):
    """The one line."""
    with pytest.raises(UserError) as error:
        checked(*args, **how)
    told = str(error.value)
    assert "\n" not in told and "Traceback" not in told
    return told


def dense(features=4, **how):
    return nnx.Linear(3, features, rngs=nnx.Rngs(0), **how)


class Made(nnx.Module):
    """A layer and what is done around it."""

    def __init__(self, call, **layers):
        self.call = call
        for name, layer in layers.items():
            setattr(self, name, layer)

    def __call__(self, *args):
        return self.call(self, *args)


class Net(nn.Module):
    def __init__(self, call, **layers):
        super().__init__()
        self.call = call
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *args):
        return self.call(self, *args)


def looked_up(self, x, y):
    return {"sum": self.fc(x) + self.table(y), "both": (2 * y, x.sum(1))}


class Looks(linen.Module):
    @linen.compact
    def __call__(self, x, y):
        table = linen.Embed(5, 4)
        return {"sum": linen.Dense(4)(x) + table(y), "both": (2 * y, x.sum(1))}


@pytest.mark.parametrize("flax", ["nnx", "linen", "module and variables"])
def test_labels_several_inputs_and_several_outputs(flax):
    port = Looks()
    if flax == "nnx":
        port = Made(looked_up, fc=dense(), table=nnx.Embed(5, 4, rngs=nnx.Rngs(0)))
    if flax == "module and variables":
        port = port, port.init(jax.random.key(0), jnp.ones((1, 3)), jnp.zeros(1, int))
    result = checked(Net(looked_up, fc=nn.Linear(3, 4), table=nn.Embedding(5, 4)), port, {"x": (5, 3), "y": LABELS})
    result.assert_ok()
    losses = next(row for row in result if row.level == "losses")
    told = ("minimised", "loss", "output.both.0", "output.both.1", "output.sum")
    assert [*losses.errors] == [f"net: {name}" for name in told]


def test_a_loss_of_ones_own_and_forwards_of_ones_own():
    """On a single layer, which is the model itself."""
    loss = (
        lambda out, x, y: F.cross_entropy(out, y),
        lambda out, x, y: optax.softmax_cross_entropy_with_integer_labels(out, y).mean(),
    )
    forwards = (lambda net, x, y: 2 * net(x), lambda model, x, y: 2 * model(x))
    inputs = {"x": (5, 3), "y": LABELS % 4}
    checked(nn.Linear(3, 4), dense(), inputs, loss=loss, forwards=forwards).assert_ok()
    wrong = (loss[0], lambda out, x, y: optax.softmax_cross_entropy_with_integer_labels(out, y).sum())
    result = checked(nn.Linear(3, 4), dense(), inputs, loss=wrong, forwards=forwards)
    assert failed(result) == {"losses", "gradients", "inputs"}


def tied(net):
    net.head.weight = net.table.weight
    return net


def test_tied_weights():
    net = tied(
        Net(lambda self, y: self.head(torch.tanh(self.table(y))), table=nn.Embedding(5, 3), head=nn.Linear(3, 5, False))
    )
    table = nnx.Embed(5, 3, rngs=nnx.Rngs(0))
    port = Made(lambda self, y: self.table.attend(jnp.tanh(self.table(y))), table=table)
    result = checked(net, port, {"y": LABELS}, only=("outputs", "weights"))
    result.assert_ok()
    assert result[0].left_out == {"net.head.weight": "a tied tensor"}
    head = nnx.Linear(3, 5, use_bias=False, rngs=nnx.Rngs(0))
    untied = Made(lambda self, y: self.head(jnp.tanh(self.table(y))), table=table, head=head)
    assert "outputs" in failed(checked(net, untied, {"y": LABELS}, only=("outputs",)))


def decay(t):
    return 0.5 * (1 + torch.cos(torch.pi * t / 10))


FUNCTIONS = {
    "a schedule": (decay, lambda t: optax.cosine_decay_schedule(1.0, 10)(t), {"t": np.arange(11)}),
    "a loss": (F.mse_loss, lambda x, y: ((x - y) ** 2).mean(), {"x": (5, 3), "y": (5, 3)}),
    "integers": (lambda x: (x.argmax(1), x > 0), lambda x: (jnp.argmax(x, 1), x > 0), {"x": (5, 3)}),
    "complex numbers": (torch.fft.fft, jnp.fft.fft, {"x": (5, 3)}),
    "in place": (lambda x: x.mul_(2), lambda x: 2 * x, {"x": (5, 3)}),
    "a module without weights": (nn.ELU(), jax.nn.elu, {"x": (5, 3)}),
    "NaN at the same places": (torch.log, jnp.log, {"x": (5, 3)}),
    "a mask of minus infinity": (
        lambda x, m: (torch.softmax(x + m, -1), x + m),
        lambda x, m: (jax.nn.softmax(x + m), x + m),
        {"x": (5, 5), "m": np.where(np.tril(np.ones((5, 5))), 0.0, -np.inf)},
    ),
}
DIFFER = {
    "a schedule one step late": (decay, lambda t: optax.cosine_decay_schedule(1.0, 10)(t + 1), {"t": np.arange(11)}),
    "GELU": (nn.GELU(), jax.nn.gelu, {"x": (5, 3)}),
    "integers": (lambda x: x.argmax(1), lambda x: jnp.argmin(x, 1), {"x": (5, 3)}),
    "complex numbers": (torch.fft.fft, lambda x: jnp.conj(jnp.fft.fft(x)), {"x": (5, 3)}),
    "NaN at other places": (torch.log, lambda x: jnp.log(jnp.abs(x)), {"x": (5, 3)}),
    "shapes": (lambda x: x.mean(1), lambda x: x.mean(), {"x": (5, 3)}),
    "keys": (lambda x: {"a": x}, lambda x: {"b": x}, {"x": (5, 3)}),
}


@pytest.mark.parametrize("pair", FUNCTIONS.values(), ids=FUNCTIONS)
def test_functions_are_equal(pair):
    checked(*pair, only=("losses", "inputs", "evaluation")).assert_ok()


@pytest.mark.parametrize("pair", DIFFER.values(), ids=DIFFER)
def test_functions_that_differ(pair):
    result = checked(*pair, only=("losses",))
    assert failed(result) == {"losses"} and "output" in str(result[-1].errors)


def test_inputs_of_one_shape_are_not_the_same_numbers():
    difference = parity.verify(case(torch.sub, jnp.subtract, {"x": (5, 3), "y": (5, 3)}), only=("losses",))
    assert difference.ok
    family, _ = case(torch.sub, jnp.subtract, {"x": (5, 3), "y": (5, 3)}).build()
    assert not np.allclose(family.fixed["x"], family.fixed["y"])
    assert not np.allclose(*family.batches(2)["x"])


LINEAR = nn.Linear(3, 4)
BAD = {
    "layers of other shapes": (LINEAR, lambda: dense(features=5), {}, "no partner with tensors that fit"),
    "a missing weight": (LINEAR, lambda: dense(use_bias=False), {}, "no partner with tensors that fit"),
    "another input": (LINEAR, lambda: nnx.Linear(2, 4, rngs=nnx.Rngs(0)), {}, "does not run on these inputs"),
    "torch refuses": (LINEAR, dense, {"inputs": {"x": (5, 2)}}, "the PyTorch side does not run on these inputs"),
    "JAX refuses": (torch.relu, lambda: lambda x: x @ x, {}, "the JAX side does not run on these inputs"),
    "sides exchanged": (dense(), lambda: LINEAR, {}, "the port is a PyTorch module"),
    "a class": (nn.Linear, dense, {}, "expected a model, made, or a function"),
    "no model": (LINEAR, lambda: 3, {}, "expected a model, made, or a function"),
    "an odd pair": (LINEAR, lambda: (1, 2), {}, "a tuple is the pair (linen module, variables)"),
    "a function for weights": (LINEAR, lambda: jnp.tanh, {}, "the port is a function, which has none"),
    "nothing returned": (lambda x: None, lambda: lambda x: None, {}, "returns no array"),
    "NaN throughout": (torch.sqrt, lambda: jnp.sqrt, {}, "any port would seem right"),
    "inputs no dict": (LINEAR, dense, {"inputs": [(5, 3)]}, "expected a dict such as"),
    "a scalar": (LINEAR, dense, {"inputs": {"x": 3.0}}, "rows first"),
    "an odd shape": (LINEAR, dense, {"inputs": {"x": (5, 2.5)}}, "expected a shape or an array of numbers"),
    "no rows": (LINEAR, dense, {"inputs": {"x": (0, 3)}}, "rows first"),
    "words": (LINEAR, dense, {"inputs": {"x": np.array(["a"])}}, "an array of <U1"),
    "rows that differ": (torch.add, lambda: jnp.add, {"inputs": {"x": (5, 3), "y": (4, 3)}}, "as many as the others"),
}


@pytest.mark.parametrize("net, port, how, told", BAD.values(), ids=BAD)
def test_bad_input_is_one_line(net, port, how, told):
    assert told in refused(net, port(), **how)


def test_a_missing_weight_that_is_given_is_seen():
    """Declared by the user as a tensor that the port has not: it is listed, and the outputs tell."""
    result = checked(nn.Sequential(LINEAR), nnx.Sequential(dense(use_bias=False)), weights={"0.bias": constant()})
    assert "net.0.bias" in result[0].left_out and failed(result) >= {"outputs", "losses"}
