"""Third-party truth: ports in stock Flax with the right settings and with the documented or default ones that are
wrong, told apart, and the wrong ones named."""

import jax.numpy as jnp
import pytest
import torch
from flax import linen, nnx
from torch import nn

from jaxgen import parity
from jaxgen.parity import ladder
from jaxgen.parity.maps import permute

TURN = ("outputs", "losses", "gradients", "inputs")
BIASED = "running_var moves by the biased variance"


def alone(layer, make, shape, **how):
    """A case of one layer; `make(rngs)` gives the NNX one, or a Linen layer stands for itself."""
    torch.manual_seed(0)
    port = nnx.Sequential(make(nnx.Rngs(0))) if callable(make) and not isinstance(make, linen.Module) else make
    port = linen.Sequential([port]) if isinstance(port, linen.Module) else port
    return parity.case(nn.Sequential(layer), port, {"x": shape}, **how)


def failed(result):
    return {row.level for row in result if not row.ok}


def nnx_layer(cls, *args, **how):
    return lambda rngs: cls(*args, rngs=rngs, **how)


def nnx_up(size, padding, **how):
    return nnx_layer(nnx.ConvTranspose, 2, 3, (size, size), strides=2, padding=padding, **how)


def linen_up(size, padding, **how):
    return linen.ConvTranspose(3, (size, size), strides=(2, 2), padding=padding, **how)


def nnx_conv(size, padding):
    return nnx_layer(nnx.Conv, 2, 3, (size, size), strides=2, padding=padding)


PADS, IMAGES, EVEN = ((1, 2), (1, 2)), (3, 2, 4, 5), (3, 2, 6, 6)
UP3, UP4 = lambda: nn.ConvTranspose2d(2, 3, 3, 2, 1, 1), lambda: nn.ConvTranspose2d(2, 3, 4, 2, 1)
RIGHT = {
    "transposed convolution": (UP3, nnx_up(3, PADS), IMAGES),
    "transposed convolution, transpose_kernel": (UP3, nnx_up(3, PADS, transpose_kernel=True), IMAGES),
    "transposed convolution of Linen, transpose_kernel": (UP3, linen_up(3, PADS, transpose_kernel=True), IMAGES),
    "transposed convolution, SAME by luck": (UP4, nnx_up(4, "SAME"), IMAGES),
    "the guide's rule for a kernel of 2": (lambda: nn.ConvTranspose2d(2, 3, 2, 2), nnx_up(2, ((1, 1),) * 2), IMAGES),
    "convolution with stride": (lambda: nn.Conv2d(2, 3, 3, 2, 1), nnx_conv(3, 1), EVEN),
    "group norm": (lambda: nn.GroupNorm(2, 4), nnx_layer(nnx.GroupNorm, 4, 2, epsilon=1e-5), (3, 4, 2, 3)),
    "layer norm of Linen": (lambda: nn.LayerNorm(4), linen.LayerNorm(epsilon=1e-5), (3, 4)),
}
WRONG = {
    "SAME": (UP3, nnx_up(3, "SAME"), IMAGES, "output padding on the other side", "'SAME' with kernel 3, stride 2"),
    "SAME, Linen": (UP3, linen_up(3, "SAME"), IMAGES, "output padding on the other side", str(PADS)),
    "the guide's 1 - p": (UP3, nnx_up(3, ((0, 0),) * 2), IMAGES, "padding by 1 - p", str(PADS)),
    "the guide's 1 - p, transpose_kernel": (
        UP4, nnx_up(4, ((0, 0),) * 2, transpose_kernel=True), IMAGES, "padding by 1 - p", "padding=((2, 2), (2, 2))",
    ),
    "torch's padding": (UP4, nnx_up(4, ((1, 1),) * 2), IMAGES, "padding as in torch", "padding=((2, 2), (2, 2))"),
    "no output padding": (UP3, nnx_up(3, ((1, 1),) * 2), IMAGES, "padding as in torch", str(PADS)),
    "SAME with stride": (
        lambda: nn.Conv2d(2, 3, 3, 2, 1), nnx_conv(3, "SAME"), EVEN, "padding SAME", "padding=((1, 1), (1, 1))",
    ),
    "SAME of a stem": (
        lambda: nn.Conv2d(2, 3, 7, 2, 3), nnx_conv(7, "SAME"), (2, 2, 8, 8), "padding SAME", "padding=((3, 3), (3, 3))",
    ),
    "eps of group norm": (
        lambda: nn.GroupNorm(2, 4), nnx_layer(nnx.GroupNorm, 4, 2), (3, 4, 2, 3), "eps", "epsilon=1e-05",
    ),
    "eps of layer norm": (lambda: nn.LayerNorm(4), nnx_layer(nnx.LayerNorm, 4), (3, 4), "eps", "epsilon=1e-05"),
    "eps of layer norm, Linen": (lambda: nn.LayerNorm(4), linen.LayerNorm(), (3, 4), "eps", "epsilon=1e-05"),
}  # fmt: skip


SLOW = {
    "transposed convolution of Linen, transpose_kernel",
    "transposed convolution, SAME by luck",
    "the guide's rule for a kernel of 2",
    "the guide's 1 - p, transpose_kernel",
    "torch's padding",
    "no output padding",
    "SAME of a stem",
    "convolution with stride",
    "SAME with stride",
}


def marked(pairs):
    return [pytest.param(*pair, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, pair in pairs.items()]


@pytest.mark.parametrize("layer, make, shape", marked(RIGHT))
def test_the_right_settings_are_equal(layer, make, shape):
    parity.verify(alone(layer(), make, shape), trajectory=0, only=TURN).assert_ok()


@pytest.mark.parametrize("layer, make, shape, cause, told", marked(WRONG))
def test_wrong_settings_are_told_apart_and_named(layer, make, shape, cause, told):
    case = alone(layer(), make, shape)
    result = parity.verify(case, trajectory=0, only=("outputs", "losses"))
    assert failed(result) == {"outputs", "losses"}
    found = parity.diagnose(case, result)
    assert (found.layer, found.cause, found.phase) == ("net.0", cause, "forward")
    assert told in str(found)


class Unbiased(nnx.BatchNorm):
    """Flax's, with torch's running variance."""

    def __call__(self, x):
        before, rows = self.var[...], x.size // x.shape[-1]
        y = super().__call__(x)
        if not self.use_running_average:
            self.var[...] += (self.var[...] - self.momentum * before) / (rows - 1)
        return y


class BatchNorm(linen.Module):
    """The mode is an argument of the layer's making, as most write it."""

    momentum: float
    epsilon: float = 1e-5

    @linen.compact
    def __call__(self, x, train):
        return linen.BatchNorm(use_running_average=not train, momentum=self.momentum, epsilon=self.epsilon)(x)


def batch_norm(cls=nnx.BatchNorm, **how):
    return nnx_layer(cls, 2, use_fast_variance=False, **how)


def test_a_batch_norm_that_keeps_the_unbiased_variance_is_equal_at_every_level():
    case = alone(nn.BatchNorm2d(2), batch_norm(Unbiased, momentum=0.9), (4, 2, 3, 2))
    result = parity.verify(case, trajectory=3)
    result.assert_ok()
    assert next(row for row in result if row.level == "statistics").compared == 6


@pytest.mark.parametrize(
    "port, where",
    [
        (lambda: nnx.Sequential(batch_norm(momentum=0.9)(nnx.Rngs(0))), "running_var"),
        (lambda: BatchNorm(momentum=0.99), "running_"),
    ],
    ids=["the guide's momentum, NNX", "the default momentum, Linen"],
)
def test_stock_batch_norm_is_right_but_for_its_statistics(port, where):
    """With the momentum that the guide says is the default, and with the one that is: the outputs cannot tell."""
    torch.manual_seed(0)
    case = parity.case(nn.Sequential(nn.BatchNorm2d(2)), port(), {"x": (4, 2, 3, 2)})
    result = parity.verify(case, trajectory=0, only=(*TURN, "evaluation", "weights", "statistics"))
    assert failed(result) == {"statistics"}, str(result)
    assert where in next(row.where for row in result if not row.ok)


@pytest.mark.parametrize(
    "how, cause, told",
    [
        ({"momentum": 0.9}, "running variance is biased", "n / (n - 1)"),
        ({}, "momentum", "momentum=0.9 in Flax"),
        ({"momentum": 0.1}, "momentum", "as with torch's momentum 0.9 instead of 0.1"),
        ({"momentum": 0.9, "epsilon": 1e-3}, "eps", "pass epsilon=1e-05"),
        ({"momentum": 0.9, "use_bias": False}, "bias missing", "use_bias=True"),
    ],
    ids=["biased", "default momentum", "torch's momentum", "eps", "no bias"],
)
def test_the_diagnosis_of_stock_batch_norm(how, cause, told):
    """Its variance is biased whatever else is wrong, so a fault seldom comes alone."""
    layer, lost = nn.BatchNorm2d(2), {"0.bias": parity.maps.constant()} if "use_bias" in how else None
    nn.init.ones_(layer.bias)
    case = alone(layer, batch_norm(**how), (4, 2, 3, 2), weights=lost)
    found = parity.diagnose(case, parity.verify(case, trajectory=0, only=("outputs", "statistics")))
    assert (found.layer, found.cause) == ("net.0", cause)
    assert told in str(found) and BIASED in str(found)


class Features(nn.Module):
    """Features become an image, and an image features."""

    def __init__(self):
        super().__init__()
        self.up, self.norm, self.conv = nn.Linear(3, 24), nn.LayerNorm(24), nn.Conv2d(2, 2, 3, padding=1)
        self.flat, self.down = nn.Flatten(), nn.Linear(24, 2)

    def forward(self, x):
        x = torch.tanh(self.conv(self.norm(self.up(x)).view(-1, 2, 3, 4)))
        return self.down(self.flat(x))


class Flat(nnx.Module):
    """Channels last all the way, so that the weights on either side have to follow."""

    def __init__(self):
        rngs = nnx.Rngs(0)
        self.up, self.norm = nnx.Linear(3, 24, rngs=rngs), nnx.LayerNorm(24, epsilon=1e-5, rngs=rngs)
        self.conv, self.down = nnx.Conv(2, 2, (3, 3), padding=1, rngs=rngs), nnx.Linear(24, 2, rngs=rngs)

    def __call__(self, x):
        x = jnp.tanh(self.conv(self.norm(self.up(x)).reshape(-1, 3, 4, 2)))
        return self.down(x.reshape(x.shape[0], -1))


class Turned(Flat):
    """In torch's order of features."""

    def __call__(self, x):
        x = self.norm(self.up(x)).reshape(-1, 2, 3, 4).transpose(0, 2, 3, 1)
        return self.down(jnp.tanh(self.conv(x)).transpose(0, 3, 1, 2).reshape(x.shape[0], -1))


def features(port, **how):
    torch.manual_seed(0)
    return parity.case(Features(), port, {"x": (3, 3)}, **how)


@pytest.mark.parametrize("port", [Flat, pytest.param(Turned, marks=pytest.mark.slow)])
def test_either_order_of_flattened_features_is_equal(port):
    parity.verify(features(port()), trajectory=0, only=TURN).assert_ok()


def test_weights_that_are_not_folded_are_told_apart():
    unfolded = features(Flat(), weights={"down.weight": permute(1, 0)})
    result = parity.verify(unfolded, trajectory=0, only=("outputs", "losses"))
    assert failed(result) == {"outputs", "losses"} and "net.down" in result[1].where


def test_the_default_gelu_is_told_apart():
    """It stands between the layers: what it changes is seen behind it."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
    first, last = nnx.Linear(3, 4, rngs=nnx.Rngs(0)), nnx.Linear(4, 2, rngs=nnx.Rngs(1))
    erf = lambda x: nnx.gelu(x, approximate=False)
    right, case = (parity.case(net, nnx.Sequential(first, gelu, last), {"x": (3, 3)}) for gelu in (erf, nnx.gelu))
    parity.verify(right, trajectory=0, only=TURN).assert_ok()
    result = parity.verify(case, trajectory=0, only=("outputs", "losses"))
    assert failed(result) == {"outputs", "losses"} and "net.2" in result[1].where
    told = str(parity.diagnose(case, result))
    assert "net.2 (call 1) is given something else: look at what stands between net.0 (call 1) and it" in told


def test_float32_tells_the_variance_in_one_pass():
    """Flax's default is the same formula in float64, and keeps fewer digits than torch in float32."""
    right = nnx_layer(nnx.LayerNorm, 16, epsilon=1e-5, use_fast_variance=False)
    rungs = [
        ladder.climb(alone(nn.LayerNorm(16), make, (8, 16)), ("float32",))[0]
        for make in (right, nnx_layer(nnx.LayerNorm, 16, epsilon=1e-5))
    ]
    assert rungs[0]["ok"] and not rungs[1]["ok"] and "large mean" in rungs[1]["where"]
