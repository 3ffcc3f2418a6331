"""Faults planted in the layers, one change in the text of jaxgen/nn each: the comparisons must see them all."""

import inspect
from functools import partial
from importlib import import_module

import pytest
import test_layers
import test_losses
from layer_pairs import compare
from test_layer_edges import compare_initial
from test_layer_float32 import compare_digits, compare_float32

from jaxgen import nn

layer, loss = compare, partial(test_losses.compare, order=1, reduction="mean")
FILES = "autocast", "convolutions", "linear", "norms", "spatial"
PACKAGE = [nn, *(import_module(f"jaxgen.nn.{file}") for file in FILES)]

# what it is: (file, right, wrong, comparison, its arguments)
FAULTS = {
    "biased running variance": ("norms", "var * n / (n - 1)", "var", layer, "BatchNorm2d(3)", (4, 3, 3, 5)),
    "momentum of the old": (
        "norms", "+= momentum * (mean", "+= (1 - momentum) * (mean", layer, "BatchNorm1d(5)", (8, 5)),
    "momentum None as 0.1": (
        "norms", "1 / layer.num_batches_tracked.astype(mean.dtype)", "0.1",
        layer, "BatchNorm1d(3, 0.01, None, True, True)", (5, 3)),
    "evaluation by the batch": ("norms", "if layer.training or", "if True or", layer, "BatchNorm1d(5)", (8, 5)),
    "batch norm's eps": (
        "norms", "num_features, eps=1e-5, momentum", "num_features, eps=1e-3, momentum",
        layer, "BatchNorm1d(5)", (8, 5)),
    "group norm's eps": (
        "norms", "num_channels, eps=1e-5", "num_channels, eps=1e-6", layer, "GroupNorm(2, 6)", (2, 6, 3, 4)),
    "layer norm's eps": (
        "norms", "normalized_shape, eps=1e-5", "normalized_shape, eps=1e-6", layer, "LayerNorm(8)", (3, 8)),
    "group norm's bias missing": (
        "sums", "y * scale + shift, (y", "y * scale, (y", layer, "GroupNorm(2, 6)", (2, 6, 3, 4)),
    "group norm's scale and bias exchanged": (
        "sums", "along.sum(0), plain.sum(0)", "plain.sum(0), along.sum(0)", layer, "GroupNorm(2, 6)", (2, 6, 3, 4)),
    "group norm's channels each by itself": (
        "sums", "np.full((size, size), 1 / size)", "np.eye(size)", layer, "GroupNorm(2, 6)", (2, 6, 3, 4)),
    "group norm's mean held": ("sums", " - of(plain) - y", " - y", layer, "GroupNorm(2, 6)", (2, 6, 3, 4)),
    "group norm's second derivative cut": (
        "sums", "y * scale + shift, (y", "y * scale + shift, (stop_gradient(y)",
        layer, "GroupNorm(2, 6)", (2, 6, 3, 4)),
    "batch norm's scale without its rows": (
        "sums", "total(rows(g * kept[0]))[0]", "total(rows(g))[0]", layer, "BatchNorm2d(3)", (4, 3, 3, 5)),
    "a bias that counts once": (
        "sums", "sums = total(rows(g))[0] if", "sums = rows(g)[0].mean(0) if", layer, "Conv2d(3, 5, 1)", (2, 3, 5, 6)),
    "layer norm's affine laid out as NHWC": (
        "norms", "jnp.moveaxis(array[...], 0, -1)", "array[...].reshape(*self.shape[1:], -1)",
        layer, "LayerNorm((3, 4, 5))", (2, 3, 4, 5)),
    "variance in one pass": (
        "norms", "(centred**2).mean(axes, keepdims=True)",
        "(x**2).mean(axes, keepdims=True) - x.mean(axes, keepdims=True) ** 2",
        compare_float32, "LayerNorm((16, 8, 8))", (4, 16, 8, 8)),
    "group variance in one pass": (
        "sums", "mean(total(centred**2) / x.shape[1], groups)",
        "mean(total(x**2) / x.shape[1], groups) - mean(total(x) / x.shape[1], groups) ** 2",
        compare_float32, "GroupNorm(4, 16)", (4, 16, 8, 8)),
    "group mean far from zero": (
        "sums", "x - stop_gradient(first(x[:, 0], groups))", "x", compare_digits, "GroupNorm(4, 16)", (4, 16, 8, 8)),
    "batch variance in one pass": (
        "norms", "axis.mean(average(centred**2))", "axis.mean(average(rows**2)) - mean**2",
        compare_float32, "BatchNorm2d(8)", (16, 8, 6, 5)),
    "a sum that runs over all rows": (
        "sums", "blocks = gcd(x.shape[0], BLOCKS)", "blocks = 1", compare_float32, "BatchNorm2d(8)", (64, 8, 16, 16)),
    "tanh for erf": (
        "activations", 'approximate="none"', 'approximate="tanh"', layer, "GELU()", (4, 8), test_layers.kinks),
    "slope": (
        "activations", "negative_slope=0.01", "negative_slope=0.2", layer, "LeakyReLU()", (4, 8), test_layers.kinks),
    "slope at 0": ("activations", "x > 0", "x >= 0", layer, "LeakyReLU()", (4, 8), test_layers.kinks),
    "relu's gradient at 0": (
        "activations", "jnp.where(x <= 0, 0, x)", "jnp.maximum(x, 0)", layer, "ReLU()", (4, 8), test_layers.kinks),
    "dropout without its scale": ("activations", " / (1 - self.p)", "", layer, "Dropout(0.2)", (2, 3, 4, 5)),
    "asymmetric padding": (
        "convolutions", "(n, n) for n in p", "(n - 1, n) for n in p", layer, "Conv2d(3, 6, 3, 2, 1)", (2, 3, 8, 6)),
    "kernel not flipped": (
        "convolutions", "[:, :, ::-1, ::-1]", "", layer, "ConvTranspose2d(4, 3, 4, 2, 1, bias=False)", (2, 4, 4, 5)),
    "second derivative cut, by the kernel": (
        "convolutions", "(conv_input(g, r[1], how,", "(conv_input(g, lax.stop_gradient(r[1]), how,",
        layer, "Conv2d(3, 6, 3, 2, 1)", (2, 3, 8, 6)),
    "second derivative cut, by the input": (
        "convolutions", "conv_weight(r[0], g, how,", "conv_weight(lax.stop_gradient(r[0]), g, how,",
        layer, "Conv2d(3, 6, 3, 2, 1)", (2, 3, 8, 6)),
    "convolution's bias missing": (
        "linear", "shifted(self, conv(*half(self, x, self.weight[...]), self.how))",
        "conv(*half(self, x, self.weight[...]), self.how)", layer, "Conv2d(3, 5, 1)", (2, 3, 5, 6)),
    "square kernel not transposed": ("linear", "x @ weight.T", "x @ weight", layer, "Linear(6, 6)", (2, 4, 6)),
    "output padding on the other side": (
        "linear", "conv_input(*half(self, x, self.weight[...]), self.how, size)",
        "jnp.roll(conv_input(*half(self, x, self.weight[...]), self.how, size), 1, (1, 2))",
        layer, "ConvTranspose2d(4, 3, 3, 2, 1, 1)", (2, 4, 4, 3)),
    "transposed fan-in of the inputs": (
        "linear", "fan_in(in_channels, out_channels // groups, *kernel)",
        "uniform(1 / math.sqrt(in_channels * math.prod(kernel)), in_channels, out_channels // groups, *kernel)",
        compare_initial, "ConvTranspose2d(64, 512, (4, 3), groups=4)"),
    "normal for uniform": (
        "linear", "fan_in(out_features, in_features)",
        "normal(0.0, (3 * in_features) ** -0.5, out_features, in_features)", compare_initial, "Linear(1500, 700)"),
    "flattened as NHWC": (
        "spatial", "jnp.moveaxis(x, -1, 1).reshape(x.shape[0], -1)", "x.reshape(x.shape[0], -1)",
        layer, "Flatten()", (2, 3, 4, 5)),
    "align_corners ignored": (
        "spatial", "if align_corners:", "if False:",
        layer, "Upsample(scale_factor=2, mode='bilinear', align_corners=True)", (2, 3, 4, 5)),
    "resized from the other end": (
        "spatial", "jnp.broadcast_to(m, (len(y)", "jnp.broadcast_to(m[:, ::-1], (len(y)",
        layer, "Upsample(scale_factor=2, mode='bilinear', align_corners=True)", (2, 3, 4, 5)),
    "scale recomputed from sizes": (
        "spatial", "1 / scale if scale else length / size", "length / size",
        layer, "Upsample(scale_factor=1.5, mode='bilinear', align_corners=False)", (2, 3, 7, 5)),
    "the last of equal values": (
        "spatial", "value > best", "value >= best", layer, "MaxPool2d(3, 2, 1)", (2, 3, 8, 7), test_layers.ties),
    "NaN overlooked": (
        "spatial", " | jnp.isnan(value)", "", layer, "MaxPool2d(3, 2, 1)", (2, 3, 8, 7), test_layers.nans),
    "padding not counted": (
        "spatial", "inside if self.count_include_pad else", "inside if False else",
        layer, "AvgPool2d(3, 2, 1)", (2, 3, 7, 8)),
    "not divided by beta": (
        "losses", "(x - target) ** 2 / beta", "(x - target) ** 2",
        partial(loss, beta=0.25), "smooth_l1_loss", test_losses.KINKS),
    "|x|'s gradient at 0": (
        "losses", "x * jax.lax.stop_gradient(jnp.sign(x))", "jnp.abs(x)", loss, "l1_loss", test_losses.KINKS),
    "gradient through the clamp": (
        "losses", "jnp.maximum(p * (1 - p), float(np.float32(1e-12)))", "(p * (1 - p))",
        loss, "binary_cross_entropy", test_losses.ENDS),
    "half the square": (
        "losses", "(x - target) ** 2, x", "0.5 * (x - target) ** 2, x", loss, "mse_loss", test_losses.FAR),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_seen(name, monkeypatch):
    file, right, wrong, compare, *case = FAULTS[name]
    if compare is layer:
        assert tuple(case) in test_layers.CASES  # where it passes without the fault
    else:
        compare(*case)
    plant(monkeypatch, import_module(f"jaxgen.nn.{file}"), right, wrong)
    with pytest.raises(AssertionError):
        compare(*case)


def plant(monkeypatch, module, right, wrong):
    """What the changed text defines takes the place of what the true one does, in the whole package."""
    text = inspect.getsource(module)
    assert text.count(right) == 1
    faulty = dict(vars(module))
    exec(compile(text.replace(right, wrong), module.__file__, "exec"), faulty)
    for name, value in vars(module).items():
        for user in PACKAGE:
            if vars(user).get(name) is value and faulty[name] is not value:
                monkeypatch.setattr(user, name, faulty[name])
