"""Weight maps for ports in stock Flax: found without a word from the user, explained, strict, invertible."""

import io
import json
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen, nnx
from flax.traverse_util import flatten_dict
from rich.console import Console
from torch import nn

from jaxgen.errors import UserError
from jaxgen.families import dcgan
from jaxgen.functional import Functional
from jaxgen.parity.maps import (
    Rule,
    WeightMap,
    constant,
    fold_chw,
    join,
    permute,
    put,
    reshape,
    split,
    stack,
    take,
    unstack,
    weight_map,
)  # fmt: skip
from jaxgen.weights import to_state_dict
from torch_ref.families import dcgan as dcgan_twin

IMAGES, LABELS = np.random.default_rng(0).normal(size=(2, 3, 6, 8)), np.array([1, 3])


class Net(nn.Module):
    """Every kind of layer that has another layout in Flax."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.gn = nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.GroupNorm(2, 4)
        self.fc, self.square, self.ln = nn.Linear(48, 16), nn.Linear(16, 16), nn.LayerNorm(16)
        self.embed, self.attention = nn.Embedding(16, 16), nn.MultiheadAttention(16, 2, batch_first=True)
        self.up, self.up1, self.up2 = (
            nn.Linear(16, 24),
            nn.ConvTranspose2d(4, 4, 4, 2, 1),
            nn.ConvTranspose2d(4, 3, 3, 2, 1, 1),
        )

    def forward(self, x, y):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.gn(self.conv2(x)))
        x = self.ln(self.square(self.fc(x.flatten(1))) + self.embed(y))
        x = torch.stack([x, 2 * x], 1)
        x = self.attention(x, x, x)[0].mean(1)
        x = torch.relu(self.up(x)).view(-1, 4, 2, 3)
        return self.up2(torch.relu(self.up1(x)))


def attend(query, key, value, **how):
    """NNX's own attention computes its softmax in float32."""
    weights = jax.nn.softmax(jnp.einsum("nqhd,nkhd->nhqk", query, key) / query.shape[-1] ** 0.5)
    return jnp.einsum("nhqk,nkhd->nqhd", weights, value)


def run(self, x, y):
    """The forward of every port, which flattens channels last."""
    x = jax.nn.relu(self.bn1(self.conv1(x)))
    x = jax.nn.relu(self.gn(self.conv2(x)))
    x = self.ln(self.square(self.fc(x.reshape(x.shape[0], -1))) + self.embed(y))
    x = jnp.stack([x, 2 * x], 1)
    x = self.attention(x, x, x).mean(1)
    x = jax.nn.relu(self.up(x)).reshape(-1, 2, 3, 4)
    return self.up2(jax.nn.relu(self.up1(x)))


PADS = {"up1": ((2, 2), (2, 2)), "up2": ((1, 2), (1, 2))}


class Port(nnx.Module):
    """In another order, so that names alone can tell."""

    def __init__(self, rngs):
        how = {"rngs": rngs}
        self.up1 = nnx.ConvTranspose(4, 4, (4, 4), 2, padding=PADS["up1"], transpose_kernel=True, **how)
        self.up2 = nnx.ConvTranspose(4, 3, (3, 3), 2, padding=PADS["up2"], **how)
        self.fc, self.up, self.square = nnx.Linear(48, 16, **how), nnx.Linear(16, 24, **how), nnx.Linear(16, 16, **how)
        self.conv2, self.conv1 = nnx.Conv(4, 4, (3, 3), 2, padding=1, **how), nnx.Conv(3, 4, (3, 3), padding=1, **how)
        self.gn, self.bn1 = nnx.GroupNorm(4, 2, epsilon=1e-5, **how), nnx.BatchNorm(4, **how)
        self.ln, self.embed = nnx.LayerNorm(16, epsilon=1e-5, **how), nnx.Embed(16, 16, **how)
        self.attention = nnx.MultiHeadAttention(2, 16, decode=False, attention_fn=attend, **how)

    __call__ = run


def linen_layers(train):
    return {
        "up2": linen.ConvTranspose(3, (3, 3), (2, 2), padding=PADS["up2"]),
        "up1": linen.ConvTranspose(4, (4, 4), (2, 2), padding=PADS["up1"], transpose_kernel=True),
        "fc": linen.Dense(16), "up": linen.Dense(24), "square": linen.Dense(16), "embed": linen.Embed(16, 16),
        "conv2": linen.Conv(4, (3, 3), (2, 2), padding=1), "conv1": linen.Conv(4, (3, 3), padding=1),
        "gn": linen.GroupNorm(2, epsilon=1e-5), "bn1": linen.BatchNorm(use_running_average=not train),
        "ln": linen.LayerNorm(epsilon=1e-5), "attention": linen.MultiHeadDotProductAttention(2),
    }  # fmt: skip


class Compact(linen.Module):
    """Nothing has a name: Dense_0 is the second last to be called."""

    @linen.compact
    def __call__(self, x, y, train=True):
        return run(SimpleNamespace(**linen_layers(train)), x, y)


class Setup(linen.Module):
    """Names that mean nothing: l0, l1, ..."""

    def setup(self):
        for i, layer in enumerate(linen_layers(train=False).values()):
            setattr(self, f"l{i}", layer)

    def __call__(self, x, y):
        names = "up2 up1 fc up square embed conv2 conv1 gn bn1 ln attention".split()
        return run(SimpleNamespace(**{name: getattr(self, f"l{i}") for i, name in enumerate(names)}), x, y)


def zeros(x):
    return np.zeros(x.shape, x.dtype)


def nnx_model(make):
    """Zeros, without compiling any initial distribution."""
    graphdef, state = nnx.split(nnx.eval_shape(make))
    return nnx.merge(graphdef, jax.tree.map(zeros, state))


def linen_model(module, *inputs, **how):
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, **how))
    return module, jax.tree.map(zeros, shapes)


def last(x):
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def seeded(module):
    """In float64, with nothing at a value that could hide a fault."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, x in module.double().eval().state_dict().items():
            x.copy_(torch.rand(x.shape, generator=generator, dtype=float) if x.is_floating_point() else x + 3)
            x.mul_(1 if name.endswith("var") or not x.is_floating_point() else 0.3)
    return module


def error(module, model, weights, *inputs, forward=None):
    """The largest difference of what the two sides return, in units of the largest value."""
    model = put(model, weights.to_jax(module.state_dict()))
    if isinstance(model, nnx.Module):
        model.eval()
    call = forward or (lambda model, *x: model[0].apply(model[1], *x) if isinstance(model, tuple) else model(*x))
    with torch.no_grad():
        want = last(module(*map(torch.from_numpy, inputs)).numpy())
    return np.abs(np.asarray(call(model, *map(jnp.asarray, map(last, inputs)))) - want).max() / np.abs(want).max()


INPUTS = (IMAGES, LABELS)
EVAL = lambda model, *x: model[0].apply(model[1], *x, train=False)
PORTS = {
    "nnx": (lambda: nnx_model(lambda: Port(nnx.Rngs(0))), None),
    "linen compact": (lambda: linen_model(Compact(), last(IMAGES), LABELS), EVAL),
    "linen setup": (lambda: linen_model(Setup(), last(IMAGES), LABELS), None),
}


@cache
def found(port):
    with jax.enable_x64(True):
        module, model = seeded(Net()), PORTS[port][0]()
        return module, model, weight_map(module, model, INPUTS)


@pytest.mark.parametrize("port", PORTS)
def test_outputs_agree_through_the_map_that_is_found(port):
    module, model, weights = found(port)
    assert error(module, model, weights, *INPUTS, forward=PORTS[port][1]) < 1e-12


@pytest.mark.parametrize("port", PORTS)
def test_the_way_there_and_back_is_bitwise(port):
    module, model, weights = found(port)
    want = {key: x.numpy() for key, x in module.state_dict().items()}
    flat = weights.to_jax(module.state_dict())
    assert flat.keys() == take(model).keys()
    back = weights.to_torch(flat, dropped={"bn1.num_batches_tracked": np.array(3)})
    assert list(back) == list(want)
    for key, x in want.items():
        assert back[key].tobytes() == x.tobytes() and back[key].dtype == x.dtype and back[key].shape == x.shape


@pytest.mark.parametrize("port", PORTS)
def test_json_holds_the_whole_map(port):
    weights = found(port)[2]
    again = WeightMap.from_json(json.loads(json.dumps(weights.to_json())))
    assert again == weights and again.check() is again


def test_every_row_says_what_is_done_and_why():
    weights = found("nnx")[2]
    rows = {row["torch"][0]: row for row in weights.rows()}
    assert all(row["reason"] for row in rows.values())
    assert rows["up1.weight"]["rule"] == "permute (2, 3, 1, 0)"
    assert rows["up2.weight"]["rule"] == "flip (2, 3), permute (2, 3, 0, 1)"
    assert rows["fc.weight"]["rule"] == "fold axis 1 = (4, 3, 4) from (C, H, W) to (H, W, C), permute (1, 0)"
    assert rows["up.bias"]["rule"] == "fold axis 0 = (4, 2, 3) from (C, H, W) to (H, W, C)"
    assert rows["attention.in_proj_weight"]["jax"] == [f"attention/{x}/kernel" for x in ("query", "key", "value")]
    assert rows["bn1.num_batches_tracked"]["rule"] == "dropped" and not rows["bn1.num_batches_tracked"]["jax"]
    for name in ("square.weight", "embed.weight", "conv2.weight", "attention.out_proj.weight", "fc.weight"):
        assert "settled by a probe" in rows[name]["reason"], name
    console = Console(width=240, record=True, file=io.StringIO())
    console.print(weights.table())
    assert "flip (2, 3), permute (2, 3, 0, 1)" in console.export_text()


def test_layers_are_paired_by_path():
    assert found("nnx")[2].names("attention") == "attention"
    assert found("linen compact")[2].layers["fc"] == "Dense_0"
    assert found("linen setup")[2].layers["conv1"] == "l7"
    with pytest.raises(UserError, match="no layer 'conv3' .nearest: conv"):
        found("nnx")[2].names("conv3")


class Generator(nn.Module):
    """Features become an image behind a BatchNorm1d, and an image features again."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(6, 36), nn.BatchNorm1d(36), nn.ReLU())
        self.rest, self.head = nn.Sequential(nn.Conv2d(4, 3, 3, padding=1), nn.ReLU()), nn.Linear(27, 5)

    def forward(self, z):
        return self.head(self.rest(self.first(z).view(-1, 4, 3, 3)).flatten(1))


class GeneratorPort(linen.Module):
    channels_last: bool
    slope: float = 0.0
    padding: int | str = 1

    @linen.compact
    def __call__(self, z):
        x = linen.BatchNorm(use_running_average=True)(linen.Dense(36)(z))
        x = jax.nn.leaky_relu(x, self.slope)
        x = x.reshape(-1, 3, 3, 4) if self.channels_last else x.reshape(-1, 4, 3, 3).transpose(0, 2, 3, 1)
        x = jax.nn.relu(linen.Conv(3, (3, 3), padding=self.padding)(x))
        x = x if self.channels_last else x.transpose(0, 3, 1, 2)
        return linen.Dense(5)(jnp.resize(x.reshape(x.shape[0], -1), (x.shape[0], 27)))


NOISE = np.random.default_rng(1).normal(size=(4, 6))


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_port_may_flatten_in_either_order(channels_last):
    module, model = seeded(Generator()), linen_model(GeneratorPort(channels_last), NOISE)
    weights = weight_map(module, model, (NOISE,))
    assert error(module, model, weights, NOISE) < 1e-12
    folded = {row["torch"][0] for row in weights.rows() if "fold" in row["rule"]}
    norm = {f"first.1.{name}" for name in ("weight", "bias", "running_mean", "running_var")}
    assert folded == ({"first.0.weight", "first.0.bias", "head.weight"} | norm if channels_last else set())
    assert weights.takes.keys() == ({"first.1", "head"} if channels_last else set())
    assert weights.gives.keys() == ({"first.0", "first.1"} if channels_last else set())
    assert WeightMap.from_json(weights.to_json()) == weights


def test_faults_of_the_port_do_not_lead_the_map_astray():
    right, wrong = (GeneratorPort(True), GeneratorPort(True, slope=0.2, padding="VALID"))
    module = seeded(Generator())
    maps = [weight_map(module, linen_model(port, NOISE), (NOISE,)) for port in (right, wrong)]
    assert [rule.steps for rule in maps[0].rules] == [rule.steps for rule in maps[1].rules]
    assert "probe: none agrees" in next(row for row in maps[1].rows() if row["torch"] == ["rest.0.weight"])["reason"]
    assert error(module, linen_model(wrong, NOISE), maps[1], NOISE) > 1e-3


@pytest.mark.parametrize(
    "torch_kernel, rule", [(True, "permute (2, 3, 1, 0)"), (False, "flip (2, 3), permute (2, 3, 0, 1)")]
)
def test_where_no_layout_agrees_that_of_the_type_is_taken(torch_kernel, rule):
    port = linen.ConvTranspose(3, (3, 3), (2, 2), padding="SAME", transpose_kernel=torch_kernel)  # torch pads otherwise
    model = linen_model(linen.Sequential([port]), last(IMAGES))
    (row, _) = weight_map(nn.Sequential(nn.ConvTranspose2d(3, 3, 3, 2, 1, 1)), model, (IMAGES,)).rows()
    assert row["rule"] == rule and "probe: none agrees" in row["reason"]


class Product(nnx.Module):
    """A layer that no library knows, with a square matrix one way or the other."""

    def __init__(self, turned):
        self.matrix, self.turned = nnx.Param(np.zeros((5, 5))), turned

    def __call__(self, x):
        return x @ (self.matrix[...].T if self.turned else self.matrix[...])


class Cube(nnx.Module):
    """A convolution whose kernel is (in, height, width, out)."""

    def __init__(self):
        self.kernel, self.b = nnx.Param(np.zeros((3, 3, 3, 3))), nnx.Param(np.zeros(3))

    def __call__(self, x):
        return (
            jax.lax.conv_general_dilated(
                x, self.kernel[...], (1, 1), "SAME", dimension_numbers=("NHWC", "IHWO", "NHWC")
            )
            + self.b[...]
        )


class Wrapped(nnx.Module):
    def __init__(self, *layers):
        self.layers = nnx.List(layers)

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Theirs(nn.Module):
    """The same in torch."""

    def __init__(self):
        super().__init__()
        self.square = nn.Parameter(torch.ones(5, 5))

    def forward(self, x):
        return x @ self.square


@pytest.mark.parametrize("turned, rule", [(True, "as it is"), (False, "permute (1, 0)")])
@pytest.mark.parametrize("inputs", [None, (np.ones((2, 5)),)])
def test_a_square_matrix_is_settled_by_a_probe(turned, rule, inputs):
    weights = weight_map(nn.Sequential(nn.Linear(5, 5, bias=False)), Wrapped(Product(turned)), inputs)
    (row,) = weights.rows()
    assert row["rule"] == rule and "settled by a probe" in row["reason"]


def test_a_square_matrix_that_no_probe_can_tell_is_refused():
    module, model = nn.Sequential(Theirs()), Wrapped(Product(turned=True))
    with pytest.raises(UserError, match="2 layouts fit 0.square, and no probe can tell"):
        weight_map(module, model)
    assert weight_map(module, model, (np.eye(2, 5),)).rules[0].steps == (permute(1, 0),)
    assert weight_map(module, model, overrides={"0.square": ()}).rules[0].steps == ()


def test_a_cubic_kernel_is_settled_by_a_probe():
    module = seeded(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1)))
    weights = weight_map(module, Wrapped(Cube()), (IMAGES,))
    assert weights.rules[0].steps == (permute(1, 2, 3, 0),)
    assert error(module, Wrapped(Cube()), weights, IMAGES) < 1e-12


@pytest.mark.parametrize("inputs", [None, (np.eye(2, 5),)])
def test_numbers_in_names_count_only_where_both_sides_number_alike(inputs):
    linear = lambda: nn.Linear(5, 5, bias=False)
    module = nn.Sequential(linear(), nn.ReLU(), linear(), nn.ReLU(), linear())
    port = Wrapped(*(Product(turned=True) for _ in range(3)))
    wanted = {"0": "layers/0", "2": "layers/1", "4": "layers/2"}
    forward = lambda model, x: model.layers[2](jax.nn.relu(model.layers[1](jax.nn.relu(model.layers[0](x)))))
    assert weight_map(module, port, inputs, jax_forward=forward).layers == wanted


class Attention(nn.Module):
    """Projections with names that mislead: v_proj makes the queries, and is called last."""

    def __init__(self):
        super().__init__()
        self.k_proj, self.q_proj, self.v_proj, self.o_proj = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x):
        heads = lambda y: y.view(2, 5, 2, 4).transpose(1, 2)
        value, key, query = (heads(layer(x)) for layer in (self.q_proj, self.k_proj, self.v_proj))
        y = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.o_proj(y.transpose(1, 2).reshape(2, 5, 8))


class AttentionPort(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.MultiHeadDotProductAttention(2)(x)


TOKENS = np.random.default_rng(2).normal(size=(2, 5, 8))


def test_layers_given_the_same_are_told_apart_by_where_their_outputs_go():
    module, model = seeded(Attention()), linen_model(AttentionPort(), TOKENS)
    weights = weight_map(module, model, (TOKENS,))
    assert weights.names("v_proj").endswith("query") and weights.names("q_proj").endswith("value")
    assert error(module, model, weights, TOKENS) < 1e-12


class Tokens(nn.Module):
    """A tensor of the module's own, square, beside its layers; one tensor under two names."""

    def __init__(self):
        super().__init__()
        self.embed, self.place = nn.Embedding(11, 5), nn.Parameter(torch.ones(5, 5))
        self.conv, self.head = nn.Conv1d(5, 5, 1), nn.Linear(5, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, y):
        return self.head(self.conv((self.embed(y) + self.place).transpose(1, 2)).transpose(1, 2))


class TokensPort(linen.Module):
    tied: bool

    @linen.compact
    def __call__(self, y):
        embed = linen.Embed(11, 5)
        x = linen.Dense(5)(embed(y) + self.param("positions", linen.initializers.zeros, (5, 5)).T)
        return embed.attend(x) if self.tied else linen.Dense(11, use_bias=False)(x)


@pytest.mark.parametrize("tied", [True, False])
def test_tied_tensors_and_tensors_beside_layers(tied):
    y = np.arange(10).reshape(2, 5)
    module, model = seeded(Tokens()), linen_model(TokensPort(tied), y)
    weights = weight_map(module, model, (y,))
    assert error(module, model, weights, y) < 1e-12
    rules = {rule.torch[0]: rule for rule in weights.rules}
    assert rules["place"].steps == (permute(1, 0),)  # the port holds it transposed
    assert rules["head.weight"].same_as == ("embed.weight" if tied else None)
    assert rules["conv.weight"].steps == (permute(2, 1, 0), reshape(5, 5))
    apart = {**module.state_dict(), "head.weight": torch.zeros(11, 5, dtype=float)}
    with pytest.raises(UserError, match="are one tensor") if tied else pytest.raises(AssertionError):
        assert weights.to_jax(apart) is None


def simple(bias=True, features=4, extra=False):
    layers = [linen.Dense(3), linen.relu, linen.Dense(features, use_bias=bias)] + [linen.LayerNorm()] * extra
    return linen_model(linen.Sequential(layers), np.ones((2, 3)))


SIMPLE, ROWS = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 4)), (np.ones((2, 3)) + np.eye(2, 3),)


def test_overrides():
    model = simple(extra=True)
    given = {
        "0": "layers_0",
        "0.weight": permute(1, 0),
        "a rule": Rule(("2.weight",), ("params/layers_2/kernel",), (permute(1, 0),), "because"),
        "2.bias": constant(0.0, "not trained"),
        "params/layers_2/bias": constant(0.0, "not trained"),
        "params/layers_3/scale": constant(1.0),
        "params/layers_3/bias": constant(0.0),
    }
    weights = weight_map(SIMPLE, model, ROWS, overrides=given)
    rows = {(row["torch"] + row["jax"])[0]: row for row in weights.rows()}
    assert rows["0.weight"]["reason"].startswith("given; steps given; settled by a probe")
    assert rows["2.weight"]["reason"] == "because" and rows["2.bias"]["rule"] == "dropped"
    flat = weights.to_jax(SIMPLE.state_dict())
    assert flat["params/layers_3/scale"].tolist() == [1, 1, 1, 1] and flat["params/layers_3/scale"].dtype == np.float32
    back = weights.to_torch(flat, {"2.bias": np.ones(4)})
    assert back["2.bias"].tolist() == [1, 1, 1, 1] and weights.to_torch(flat)["2.bias"].tolist() == [0, 0, 0, 0]
    with pytest.raises(UserError, match="unexpected 0.bias"):
        weights.to_torch(flat, {"0.bias": np.ones(3)})


def test_a_wrong_override_is_taken_and_told():
    weights = weight_map(SIMPLE, simple(), ROWS, overrides={"0.weight": ()})
    row = next(weights.rows())
    assert row["rule"] == "as it is" and "WRONG: permute (1, 0) is settled by a probe" in row["reason"]


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"1": "layers_0"}, "no PyTorch layer '1'"),
        ({"0": "layer_0"}, "no JAX layer 'layer_0' .nearest: layers_0"),
        ({"0": "layers_2"}, "0 .Linear: .* cannot be layers_2 .Dense: .* do not fit"),
        ({"3.weight": permute(1, 0)}, "no PyTorch tensor '3.weight' .nearest: "),
        ({"2.weight": permute(0, 1)}, r"permute \(0, 1\) gives .* need .*\(3, 4\)"),
        ({"2.weight": permute(0, 1, 2)}, "is not possible"),
        ({"2.weight": fold_chw(2, 3, 1)}, "fold axis 0 .* is not possible"),
        ({"2.weight": 3}, "expected a JAX layer's path, steps"),
        ({"nobody": constant(0.0)}, "no tensor 'nobody'"),
        ({"x": Rule(("2.weight",), ("params/layers_2/kernal",))}, "no JAX tensor .* .nearest: params/layers_2/kernel"),
        ({"x": Rule(("2.weight",), ("params/layers_2/kernel",))}, r"expected the shape \(3, 4\), got \(4, 3\)"),
    ],
)
def test_overrides_that_cannot_be_are_one_line(overrides, message):
    with pytest.raises(UserError, match=message) as caught:
        weight_map(SIMPLE, simple(), ROWS, overrides=overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "model, message",
    [
        (dict(bias=False), r"PyTorch 2 \(Linear: .*nor for JAX layers_2 \(Dense: kernel \(3, 4\)\)"),
        (dict(features=5), r"PyTorch 2 \(Linear: .*nor for JAX layers_2 \(Dense: .*\(3, 5\)"),
        (dict(extra=True), "no partner with tensors that fit for JAX layers_3 .LayerNorm"),
    ],
)
def test_what_no_rule_explains_is_one_line(model, message):
    with pytest.raises(UserError, match=message) as caught:
        weight_map(SIMPLE, simple(**model), ROWS)
    assert "\n" not in str(caught.value) and "overrides" in str(caught.value)


class Remat(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.remat(linen.Dense)(4)(jax.nn.relu(linen.Dense(3)(x)))


def test_what_cannot_be_seen_or_run_is_one_line():
    wide = (np.ones((2, 7)),)
    for model, inputs, message in (
        (simple(), None, "Give inputs="),
        (simple(), wide, "the PyTorch model does not run on these inputs"),
        (linen_model(linen.Dense(4), *wide), ROWS, "the JAX model does not run on these inputs"),
        (linen_model(Remat(), *ROWS), ROWS, "CheckpointDense_0 of the JAX model runs inside jax.checkpoint"),
        (print, ROWS, "expected an nnx.Module or the pair"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            weight_map(SIMPLE, model, inputs)
        assert "\n" not in str(caught.value)


def changed(weights, torch_name, **change):
    rules = [replace(rule, **change) if torch_name in rule.torch else rule for rule in weights.rules]
    return replace(weights, rules=tuple(rule for rule in rules if rule.torch))


@pytest.mark.parametrize(
    "name, change, message",
    [
        (
            "up2.weight",
            dict(steps=(permute(2, 3, 1, 0),)),
            r"up2/kernel: expected the shape \(3, 3, 4, 3\), got \(3, 3, 3, 4\)",
        ),
        ("conv1.bias", dict(jax=("conv2/bias",)), "JAX tensor conv2/bias is used by more than one rule"),
        ("conv1.bias", dict(torch=("conv2.bias",)), "torch tensor conv2.bias is used by more than one rule"),
        ("conv1.bias", dict(torch=()), "no rule uses the torch tensor conv1.bias"),
        ("conv1.bias", dict(jax=("conv1/bais",)), "unknown JAX tensor conv1/bais"),
        ("conv1.bias", dict(steps=(stack(0),)), "expected the shape"),
        ("attention.in_proj_bias", dict(steps=(split(8, 8, 32), reshape(2, 8))), r"reshape \(2, 8\) is not possible"),
        ("attention.in_proj_bias", dict(steps=(split(16, 16),)), r"split axis 0 into 16 \+ 16 is not possible"),
    ],
)
def test_planted_faults_are_caught_by_the_check(name, change, message):
    with pytest.raises(UserError, match=message):
        changed(found("nnx")[2], name, **change).check()


def test_state_dicts_and_arrays_must_be_the_very_ones():
    module, model, weights = found("nnx")
    state, flat = module.state_dict(), weights.to_jax(module.state_dict())
    for side, name, other, convert in (
        (state, "fc.bias", "fc.bia", weights.to_jax),
        (flat, "fc/bias", "fc/bia", weights.to_torch),
    ):
        bad = {**{key: x for key, x in side.items() if key != name}, other: side[name]}
        with pytest.raises(UserError, match=f"missing {name} .nearest: {other}.; unexpected {other}"):
            convert(bad)
        with pytest.raises(UserError, match=rf"{name}: expected the shape \(16,\), got \(1, 16\)"):
            convert({**side, name: side[name][None]})
    with pytest.raises(UserError, match="put: the model has no fc/bia"):
        put(model, {"fc/bia": flat["fc/bias"]})
    with pytest.raises(UserError, match="put: fc/bias: expected the shape"):
        put(model, {"fc/bias": flat["fc/bias"][:3]})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtypes_are_kept(dtype):
    weights = weight_map(SIMPLE, simple(), ROWS)
    flat = weights.to_jax({key: x.to(dtype) for key, x in SIMPLE.state_dict().items()})
    assert {str(x.dtype) for x in flat.values()} == {str(dtype).removeprefix("torch.")}
    assert {str(x.dtype) for x in take(put(simple(), flat)).values()} == {str(dtype).removeprefix("torch.")}


@pytest.mark.parametrize("port", ["nnx", "linen compact"])
def test_arrays_may_be_put_inside_a_differentiated_program(port):
    module, model, weights = found(port)
    flat = {path: jnp.asarray(x) for path, x in weights.to_jax(module.state_dict()).items()}
    name = next(path for path in flat if path.endswith("bias"))
    slope = jax.grad(lambda x: jnp.sum(take_one(put(model, {**flat, name: x}), name) ** 2))(flat[name])
    assert np.allclose(slope, 2 * flat[name])


def take_one(model, path):
    found = flatten_dict(model[1] if isinstance(model, tuple) else nnx.to_pure_dict(nnx.state(model)), sep="/")
    return found[path]


def test_steps_that_join_and_stack_are_undone():
    parts = {name: (2, 3) for name in "abc"}
    for steps, shape in (
        ((join(0), permute(1, 0)), (3, 6)),
        ((stack(1),), (2, 3, 3)),
        ((stack(0), reshape(18)), (18,)),
    ):
        weights = WeightMap((Rule(tuple("abc"), ("x",), steps),), parts, {"x": shape}).check()
        assert WeightMap.from_json(weights.to_json()).check() == weights
    WeightMap((Rule(("x",), tuple("abc"), (unstack(0),)),), {"x": (3, 2, 3)}, parts).check()


def test_json_that_is_no_map_is_refused():
    entries = found("nnx")[2].to_json()
    with pytest.raises(UserError, match="expected the format"):
        WeightMap.from_json({**entries, "format": "other"})
    entries["rules"][0]["steps"] = [{"step": "shear"}]
    with pytest.raises(UserError, match="is no step. There are permute, flip"):
        WeightMap.from_json(entries)


def test_our_own_nets_need_no_map():
    ours, theirs = Functional(dcgan.Family(**dcgan.Family.small)), dcgan_twin.Family(**dcgan.Family.small)
    params, stats = jax.tree.map(zeros, jax.eval_shape(ours.init, jax.random.key(0)))
    weights = weight_map(theirs.gen, to_state_dict(params["gen"], stats["gen"]))
    assert {(row["rule"], row["reason"]) for row in weights.rows()} == {("as it is", "the tree is a state_dict")}
    assert weights.names("main.0") == "main.0"
    with pytest.raises(UserError, match="JAX arrays: missing main.2.weight .nearest: "):
        weight_map(theirs.disc, to_state_dict(params["gen"], stats["gen"]))
