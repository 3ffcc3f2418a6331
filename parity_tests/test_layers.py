"""Every layer against torch.nn in float64: values, gradients, second derivatives, running statistics.

A case is the text of a constructor, torch's shape of the input, and what is done to the input.
"""

from itertools import product
from random import Random

import jax
import numpy as np
import pytest
from layer_pairs import compare

from jaxgen import nn
from jaxgen.nn import convolutions as convolution_forms
from jaxgen.nn import norms, sums, winograd


def ties(x):
    return np.round(x)


def nans(x):
    x[0, 0, 2, 3] = x[1, 1, 0, 0] = x[1, 1, 0, 1] = np.nan
    return x


def kinks(x):
    x.flat[:5] = 0.0, -0.0, 1e-30, -1e-30, 1.0
    return x


def large(x):
    x.flat[:8] = 30, -30, 40, -40, 800, -800, 1000, -1000
    return x


def endless(x):
    x.flat[:3] = np.inf, -np.inf, np.nan
    return x


def far(x):
    return 3 * x + 100


def tokens(x):
    return np.abs(4 * x).astype(int) % 7


def convolutions():
    """Every kernel, stride and dilation on each axis, the two axes never alike; the other arguments take turns."""
    axes = list(product(range(1, 6), (1, 2, 3), (1, 2, 3)))
    Random(0).shuffle(axes)
    for i, pairs in enumerate(zip(axes, axes[1:] + axes[:1], strict=True)):
        k, s, d = zip(*pairs, strict=True)
        p, groups, bias = (i % 4, i // 4 % 3), (1, 2, 4)[i % 3], i % 2 == 0
        out = (4, 8)[i // 3 % 2]
        reach = [d[j] * (k[j] - 1) + 1 for j in (0, 1)]
        size = [max(reach[j] - 2 * p[j], 1) + (i + j) % 5 for j in (0, 1)]
        yield f"Conv2d(4, {out}, {k}, {s}, {p}, {d}, {groups}, {bias})", (2, 4, *size)
        extra = tuple((i + j) % max(s[j], d[j]) for j in (0, 1))
        size = [1 + max(-(-(2 * p[j] + 1 - reach[j] - extra[j]) // s[j]), 0) + (i + j) % 4 for j in (0, 1)]
        yield f"ConvTranspose2d(4, {out}, {k}, {s}, {p}, {extra}, {groups}, {bias}, {d})", (2, 4, *size)


def batch_norms():
    for momentum, affine, tracks in product((0.1, 0.7, None), (True, False), (True, False)):
        yield f"BatchNorm2d(3, 0.01, {momentum}, {affine}, {tracks})", (4, 3, 3, 2)
        yield f"BatchNorm1d(3, 0.01, {momentum}, {affine}, {tracks})", (5, 3) if affine == tracks else (4, 3, 3)


CASES = [
    ("Linear(5, 7)", (3, 5)),
    ("Linear(6, 6)", (2, 4, 6)),
    ("Linear(6, 3, bias=False)", (4, 6)),
    ("Conv2d(3, 5, 1)", (2, 3, 5, 6)),
    ("Conv2d(3, 6, 2, 2, bias=False)", (2, 3, 7, 9)),
    ("Conv2d(3, 6, 3, 1, 1)", (2, 3, 8, 5)),
    ("Conv2d(3, 6, 3, 2, 1)", (2, 3, 8, 6)),
    ("Conv2d(3, 6, 3, 2, 1)", (2, 3, 7, 9)),
    ("Conv2d(4, 6, 4, 2, 1, bias=False)", (2, 4, 8, 7)),
    ("Conv2d(6, 6, 5, 2, 2, groups=6)", (2, 6, 8, 6)),
    ("Conv2d(3, 6, 7, 4, 3)", (1, 3, 13, 12)),
    ("ConvTranspose2d(5, 4, 4)", (2, 5, 1, 1)),
    ("ConvTranspose2d(4, 3, 4, 2, 1, bias=False)", (2, 4, 4, 5)),
    ("ConvTranspose2d(4, 3, 3, 2, 1, 1)", (2, 4, 4, 3)),
    ("ConvTranspose2d(4, 4, 5, 3, 2, 2, 4)", (2, 4, 3, 4)),
    *convolutions(),
    ("BatchNorm1d(5)", (8, 5)),
    ("BatchNorm1d(5)", (4, 5, 3)),
    ("BatchNorm1d(5)", (1, 5, 3), far),
    ("BatchNorm2d(3)", (4, 3, 3, 5)),
    ("BatchNorm2d(3)", (1, 3, 2, 1), far),
    *batch_norms(),
    ("GroupNorm(2, 6)", (2, 6, 3, 4)),
    ("GroupNorm(3, 6, eps=0.01)", (2, 6, 5), far),
    ("GroupNorm(1, 6, affine=False)", (3, 6)),
    ("GroupNorm(6, 6)", (2, 6, 3, 2)),
    ("GroupNorm(3, 3)", (2, 3, 1, 1)),
    ("LayerNorm(8)", (3, 8)),
    ("LayerNorm([8], 0.01)", (2, 3, 8), far),
    ("LayerNorm(8, bias=False)", (2, 3, 8)),
    ("LayerNorm(8, elementwise_affine=False)", (2, 8)),
    ("LayerNorm((3, 4, 5))", (2, 3, 4, 5)),
    ("LayerNorm((3, 4, 5), bias=False)", (2, 3, 4, 5)),
    ("InstanceNorm2d(4)", (2, 4, 3, 5)),
    ("InstanceNorm2d(4, eps=0.01, affine=True)", (2, 4, 5, 1), far),
    ("Embedding(7, 4)", (3, 5), tokens),
    ("Dropout()", (4, 6)),
    ("Dropout(0.2)", (2, 3, 4, 5)),
    ("Dropout(0.0)", (4, 6)),
    ("MaxPool2d(2)", (2, 3, 6, 7), ties),
    ("MaxPool2d(3, 2, 1)", (2, 3, 8, 7), ties),
    ("MaxPool2d(3, 2, 1)", (2, 3, 8, 7), nans),
    ("MaxPool2d((2, 3), (1, 2), (1, 0), (2, 1))", (2, 3, 7, 6), ties),
    ("MaxPool2d(3, 1, 1, dilation=2)", (2, 3, 5, 6), ties),
    ("AvgPool2d(2)", (2, 3, 7, 6)),
    ("AvgPool2d(3, 2, 1)", (2, 3, 7, 8)),
    ("AvgPool2d((3, 2), (1, 2), (1, 0), count_include_pad=False)", (2, 3, 5, 7)),
    ("AvgPool2d(4, 3, 2, count_include_pad=False)", (2, 3, 5, 8)),
    ("Upsample(scale_factor=2)", (2, 3, 3, 4)),
    ("Upsample(scale_factor=1.5)", (2, 3, 7, 5)),
    ("Upsample(scale_factor=(2.3, 0.6))", (2, 3, 5, 7)),
    ("Upsample(size=(7, 3))", (2, 3, 5, 8)),
    ("Upsample(size=1)", (2, 3, 5, 8)),
    *[
        (f"Upsample({size}, mode='bilinear', align_corners={align})", (2, 3, *shape))
        for align in (True, False)
        for size, shape in [
            ("scale_factor=2", (4, 5)),
            ("scale_factor=1.5", (7, 5)),
            ("scale_factor=(0.4, 3)", (7, 1)),
            ("size=(3, 9)", (8, 5)),
            ("size=1", (4, 5)),
            ("size=(1, 4)", (1, 7)),
        ]
    ],
    ("Upsample(scale_factor=3, mode='bilinear')", (2, 3, 2, 4)),
    ("Flatten()", (2, 3, 4, 5)),
    ("Flatten()", (3, 6)),
    ("Unflatten(1, (3, 4, 5))", (2, 60)),
    *[
        (layer, (4, 8), edge)
        for edge in (kinks, large, endless)
        for layer in (
            "ReLU()",
            "LeakyReLU()",
            "LeakyReLU(0.2)",
            "GELU()",
            "GELU('tanh')",
            "SiLU()",
            "Sigmoid()",
            "Tanh()",
        )
    ],
    ("Sequential(Linear(5, 4), Sequential(BatchNorm1d(4), ReLU()), Linear(4, 2))", (6, 5)),
    (
        "Sequential(Unflatten(1, (4, 3, 3)), Sequential(ConvTranspose2d(4, 6, 4, 2, 1), BatchNorm2d(6)), ReLU(),"
        " Upsample(scale_factor=2), Conv2d(6, 3, 3, padding=1), Dropout(0.4), Flatten(), Linear(432, 2))",
        (4, 36),
    ),
    ("Sequential(Identity(), Linear(3, 2))", (5, 3)),
    ("Blocks()", (5, 3)),
]


def test_every_layer_is_here():
    layers = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    assert {name for name in layers if not any(f"{name}(" in text for text, *_ in CASES)} == {"ModuleList"}  # in Blocks


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]}")
def test_layer_is_torchs(case):
    compare(*case)


TOUCHED = [case for case in CASES if case[0].startswith(("Conv", "GroupNorm", "BatchNorm"))]
SOME = [pytest.param(case, marks=[pytest.mark.slow] * (i % 8 != 0)) for i, case in enumerate(TOUCHED)]


@pytest.mark.parametrize("case", SOME, ids=lambda case: f"{case[0]} {case[1]}")
def test_the_forms_of_a_gpu_are_torchs(case):
    """The compiler's own convolutions and sums."""
    jax.clear_caches()  # the choice is made while a program is traced
    with sums.forms_of("gpu"):
        compare(*case)
    jax.clear_caches()


def test_an_image_smaller_than_its_kernel_is_padded_before_it_is_convolved():
    """Otherwise XLA has a loop of its own for it (docs/speed.md)."""

    def program(size):
        how = convolution_forms.How((1, 1), (1, 1))
        loss = lambda x, w: (convolution_forms.conv(x, w, how) ** 2).sum()
        given = np.ones((2, size, size, 3)), np.ones((5, 3, 3, 3))
        return jax.jit(jax.grad(loss, (0, 1))).lower(*given).compile().as_text()

    assert program(3).count("window={size=3x3 pad=1_1x1_1}") == 3
    assert program(2).count("window={size=3x3}") == 2
    assert "size=3x3 pad" not in program(2)


MINIMAL = [
    ("Conv2d(3, 5, 3, 1, 1)", (2, 3, 7, 6)),
    ("Conv2d(3, 5, 3, 1, 3)", (2, 3, 2, 3)),
    ("Conv2d(3, 5, 2)", (2, 3, 4, 5)),
    ("Conv2d(3, 5, 4, 2, 1)", (2, 3, 8, 7)),
    ("Conv2d(3, 5, (3, 6), (1, 3), (0, 2))", (2, 3, 6, 10)),
    ("Conv2d(3, 5, 6, 2, 2)", (2, 3, 9, 8)),
    ("ConvTranspose2d(3, 5, 3, 1, 1)", (2, 3, 5, 4)),
    ("ConvTranspose2d(3, 5, 4, 2, 1)", (2, 3, 3, 4)),
    ("ConvTranspose2d(3, 5, 4, 2, 1, output_padding=1)", (2, 3, 3, 4)),
    ("ConvTranspose2d(3, 5, (2, 9), (1, 3), (0, 2), (0, 2))", (2, 3, 4, 3)),
]


QUICK = [pytest.param(case, marks=[pytest.mark.slow] * (i % 3 != 0)) for i, case in enumerate(MINIMAL)]


@pytest.mark.parametrize("case", QUICK, ids=lambda case: f"{case[0]} {case[1]}")
def test_minimal_filtering_is_torchs(case, monkeypatch):
    """However few channels there are, where it would not pay."""
    anywhere = {taps: each._replace(channels=0) for taps, each in winograd.FILTERS.items()}
    monkeypatch.setattr(winograd, "FILTERS", anywhere)
    monkeypatch.setattr(winograd, "LEAST", 1)
    jax.clear_caches()
    compare(*case)
    jax.clear_caches()


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_minimal_filtering_spoils_what_reads_a_value_that_is_none_alone(value):
    """As the textbook's form does."""
    x, w, how = np.ones((1, 7, 8, 2)), np.ones((3, 2, 3, 3)), convolution_forms.How((1, 1), (1, 1))
    x[0, 3, 4, 1] = value
    back = winograd.conv_input(x, w.swapaxes(0, 1), how, (7, 8))
    for y in (winograd.conv(x, w, how, (7, 8)), back):
        assert not np.isfinite(y[:, 2:5, 3:6]).any() and np.isfinite(y).sum() == y.size - 27


def test_minimal_filtering_is_taken_where_it_pays():
    """The layers of the documented nets; not a thin net, a few pixels or far too many, groups, gaps, half precision, or
    what the other forms refuse."""
    three, four = convolution_forms.How((1, 1), (1, 1)), convolution_forms.How((2, 2), (1, 1))
    assert winograd.fits((64, 64, 3, 3), three, (16, 28, 28), np.float32)
    assert winograd.fits((512, 256, 4, 4), four, (64, 4, 4), np.float32)
    assert not winograd.fits((64, 1, 3, 3), three, (16, 28, 28), np.float32)
    assert not winograd.fits((256, 256, 3, 3), three, (7, 3, 3), np.float32)
    assert not winograd.fits((64, 64, 3, 3), three._replace(groups=2), (16, 28, 28), np.float32)
    assert not winograd.fits((64, 64, 3, 3), three._replace(dilation=(2, 2)), (16, 28, 28), np.float32)
    assert winograd.fits((64, 32, 4, 4), four, (16, 28, 28), np.float32)
    assert not winograd.fits((32, 32, 4, 4), four, (16, 28, 28), np.float32)
    assert not winograd.fits((64, 64, 3, 3), four, (16, 28, 28), np.float32)
    assert not winograd.fits((64, 64, 3, 3), three, (16, 28, 28), "bfloat16")
    assert not winograd.fits((64, 64, 3, 3), three, (64, 256, 256), np.float32)
    assert not winograd.fits((64, 64, 3, 3), three, (16, 28, 28), np.float32, np.float64)
    assert not winograd.fits((64, 64, 3, 3), three, (300, -1, -1), np.float32)


THREE, FOUR = ("Conv2d(3, 5, 3, 1, 1)", (2, 3, 7, 6)), ("Conv2d(3, 5, 4, 2, 1)", (2, 3, 8, 7))
WRONG = {
    "a sign": (FOUR, "FILTERS", lambda right: right | {2: right[2]._replace(kernel=((1, 0), (1, -1), (0, 1)))}),
    "tiles that do not add up": (FOUR, "overlapped", lambda right: lambda grid: right([row[:2] for row in grid[:2]])),
    "blocks in another order": (FOUR, "transformed_kernel", lambda right: lambda w, *rest: right(w[:, :, ::-1], *rest)),
    "a kernel turned in the gradient alone": (
        THREE, "filtered",
        lambda right: lambda sums, x, grid, *rest: right(
            sums, x, grid if sums.startswith("tc") else [row[::-1] for row in grid], *rest
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_fault_in_minimal_filtering_is_seen(name, monkeypatch):
    case, part, fault = WRONG[name]
    monkeypatch.setattr(winograd, part, fault(getattr(winograd, part)))
    with pytest.raises(AssertionError):
        test_minimal_filtering_is_torchs(case, monkeypatch)
    jax.clear_caches()


FAULTS = {
    "kernel flipped": (
        convolution_forms, "native", lambda right: lambda x, w, *how: right(x, w[..., ::-1], *how),
        ("Conv2d(3, 6, 3, 2, 1)", (2, 3, 8, 6)),
    ),
    "eps doubled": (
        norms, "standardise", lambda right: lambda x, axes, eps: right(x, axes, 2 * eps),
        ("GroupNorm(2, 6)", (2, 6, 3, 4)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_forms_of_a_gpu_is_seen(name, monkeypatch):
    module, function, fault, case = FAULTS[name]
    monkeypatch.setattr(module, function, fault(getattr(module, function)))
    compare(*case)  # a CPU has other forms
    with pytest.raises(AssertionError):
        test_the_forms_of_a_gpu_are_torchs(case)
    jax.clear_caches()
