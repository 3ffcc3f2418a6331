"""What the comparison of layers leaves open: signatures, initial values, refusals, forward mode."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from layer_pairs import last, mine, theirs

from jaxgen import nn, weights

LAYERS = {name for name in nn.__all__ if hasattr(torch.nn, name)} - {"Sequential", "ModuleList"}
LOSSES = {name for name in nn.__all__ if name.endswith(("loss", "entropy", "logits"))}

LARGE = [
    "Linear(1500, 700)",
    "Conv2d(64, 512, 3)",
    "Conv2d(64, 512, (3, 5), groups=4)",
    "ConvTranspose2d(512, 128, 4)",
    "ConvTranspose2d(64, 512, (4, 3), groups=4)",
    "Embedding(600, 500)",
    "BatchNorm2d(5)",
    "GroupNorm(2, 6)",
    "LayerNorm((3, 4, 5))",
]

REFUSED = [
    ("Linear(3, 4)", (2, 4), r"^Linear: .*\(2, 4\)"),
    ("Conv2d(3, 4, 3)", (2, 5, 8, 9), r"^Conv2d: .*\(2, 8, 9, 5\)"),
    ("Conv2d(3, 4, 3)", (2, 3), r"^Conv2d: .*\(2, 3\)"),
    ("Conv2d(3, 4, 5, 2, 1)", (2, 3, 8, 2), r"^Conv2d: .*\(8, 2\)"),
    ("Conv2d(3, 4, 3, groups=2)", (2, 3, 8, 8), "^Conv2d: 3 input and 4 output channels .*groups=2"),
    ("Conv2d(4, 3, 3, groups=2)", (2, 4, 8, 8), "^Conv2d: 4 input and 3 output channels .*groups=2"),
    ("ConvTranspose2d(4, 6, 3)", (2, 6, 5, 5), r"^ConvTranspose2d: .*\(2, 5, 5, 6\)"),
    ("ConvTranspose2d(4, 6, 3)", (2, 4), r"^ConvTranspose2d: .*\(2, 4\)"),
    ("ConvTranspose2d(4, 6, 1, 1, 2)", (2, 4, 2, 9), r"^ConvTranspose2d: .*\(2, 9\)"),
    ("ConvTranspose2d(4, 6, 3, groups=4)", (2, 4, 5, 5), "^ConvTranspose2d: 4 input and 6 output .*groups=4"),
    ("ConvTranspose2d(4, 6, 3, (2, 3), 1, 2)", (2, 4, 5, 5), r"^ConvTranspose2d: output_padding \(2, 2\) .*\(2, 3\)"),
    ("BatchNorm1d(3)", (1, 3), r"^BatchNorm1d: expected more than 1 value .*\(1, 3\)"),
    ("BatchNorm1d(3)", (1, 3, 1), r"^BatchNorm1d: expected more than 1 value .*\(1, 3\)"),
    ("BatchNorm2d(3)", (1, 3, 1, 1), r"^BatchNorm2d: expected more than 1 value .*\(1, 3\)"),
    ("BatchNorm1d(3)", (2, 3, 4, 4), r"^BatchNorm1d: .*2 axes or .*3 axes, got \(2, 4, 4, 3\)"),
    ("BatchNorm2d(3)", (2, 3), r"^BatchNorm2d: .*4 axes, got \(2, 3\)"),
    ("BatchNorm2d(3)", (2, 4, 5, 5), r"^BatchNorm2d: .*\(2, 5, 5, 4\)"),
    ("GroupNorm(4, 6)", (2, 6), "^GroupNorm: 6 channels .*4 groups"),
    ("GroupNorm(2, 4)", (2, 6, 3, 3), r"^GroupNorm: .*\(2, 3, 3, 6\)"),
    ("GroupNorm(4, 4)", (1, 4), r"^GroupNorm: expected more than 1 value .*\(1, 4\)"),
    ("InstanceNorm2d(3)", (2, 3, 1, 1), r"^InstanceNorm2d: expected more than 1 spatial value .*\(2, 1, 1, 3\)"),
    ("InstanceNorm2d(3)", (2, 3), r"^InstanceNorm2d: .*\(2, 3\)"),
    ("InstanceNorm2d(3, affine=True)", (2, 4, 5, 5), r"^InstanceNorm2d: .*\(2, 5, 5, 4\)"),
    ("LayerNorm(4)", (2, 5), r"^LayerNorm: .*\(4,\), got \(2, 5\)"),
    ("LayerNorm((3, 4, 5))", (2, 3, 5, 4), r"^LayerNorm: .*\(4, 5, 3\), got \(2, 5, 4, 3\)"),
    ("MaxPool2d(2, 2, 2)", (2, 3, 8, 8), r"^MaxPool2d: padding \(2, 2\) .*\(2, 2\)"),
    ("MaxPool2d(3, 1, 2, dilation=2)", (2, 3, 8, 8), r"^MaxPool2d: padding \(2, 2\) .*\(3, 3\)"),
    ("MaxPool2d(5)", (2, 3, 4, 8), r"^MaxPool2d: .*\(5, 5\).*\(4, 8\)"),
    ("MaxPool2d(2)", (2, 3), r"^MaxPool2d: .*\(2, 3\)"),
    ("AvgPool2d(3, 1, 2)", (2, 3, 8, 8), r"^AvgPool2d: padding \(2, 2\) .*\(3, 3\)"),
    ("AvgPool2d(5)", (2, 3, 8, 4), r"^AvgPool2d: .*\(5, 5\).*\(8, 4\)"),
    ("Unflatten(1, (3, 4, 5))", (2, 50), r"^Unflatten: .*\(3, 4, 5\).*\(2, 50\)"),
    ("Upsample()", (2, 3, 4, 4), "^Upsample: .*size or scale_factor"),
    ("Upsample(size=3, scale_factor=2)", (2, 3, 4, 4), "^Upsample: .*size or scale_factor"),
    ("Upsample(scale_factor=2, align_corners=True)", (2, 3, 4, 4), "^Upsample: align_corners"),
    ("Upsample(scale_factor=2, mode='cubic')", (2, 3, 4, 4), "^Upsample: mode 'cubic'"),
    ("Upsample(scale_factor=2)", (2, 3), r"^interpolate: .*\(2, 3\)"),
    ("Upsample(scale_factor=0.1)", (2, 3, 4, 20), r"^interpolate: .*\(4, 20\).*\(0, 2\)"),
    ("GELU('erf')", (2, 3), "^GELU: approximate 'erf'"),
    ("Dropout(-0.1)", (2, 3), "^Dropout: .*-0.1"),
]


@pytest.mark.parametrize("name", sorted(LAYERS | LOSSES))
def test_arguments_are_torchs(name):
    """Names and defaults; what can be given by place stands at torch's place."""
    have, want = (arguments(package, name) for package in (nn, torch.nn.functional if name in LOSSES else torch.nn))
    places = {p.name: i for i, p in enumerate(want)}
    for i, p in enumerate(have):
        if i < 2 and name in LOSSES or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            continue  # the two arrays have names of their own; a layer without arguments
        assert p.default == want[places[p.name]].default, p
        assert p.kind is p.KEYWORD_ONLY or places[p.name] == i, p


def arguments(package, name):
    function = getattr(package, name)
    return list(inspect.signature(function.__init__ if name in LAYERS else function).parameters.values())


@pytest.mark.parametrize("text", LARGE)
def test_initial_values_are_torchs(text):
    compare_initial(text)


def compare_initial(text):
    """Mean, deviation and bound agree within what n draws allow (six sigma); the bound of normal draws says little."""
    torch.manual_seed(0)
    want = {key: value.double().numpy() for key, value in theirs(text).state_dict().items()}
    have = weights.to_state_dict(*mine(text).init(jax.random.key(0)))
    assert have.keys() == want.keys()
    for name, x in want.items():
        y, sigma = have[name], x.std()
        assert y.shape == x.shape
        assert abs(y.mean() - x.mean()) <= 6 * sigma * (2 / x.size) ** 0.5, name
        assert abs(y.std() - sigma) <= 6 * sigma / x.size**0.5, name
        slack = 0.3 if text.startswith("Embedding") else 20 / x.size
        assert abs(np.abs(y).max() - np.abs(x).max()) <= slack * np.abs(x).max(), name


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[0]} {case[1]}")
def test_layers_refuse_what_torch_refuses(case):
    text, shape, words = case
    with pytest.raises((ValueError, RuntimeError, NotImplementedError)):  # torch has no one kind for a wrong shape
        theirs(text)(torch.ones(shape))
    with pytest.raises(ValueError, match=words):
        layer = mine(text)
        jax.eval_shape(lambda x: layer.apply(*layer.init(jax.random.key(0)), x), last(text, np.ones(shape)))


@pytest.mark.parametrize("text", ["Conv2d(3, 4, 3)", "ConvTranspose2d(3, 4, 3, 2)"])
def test_convolutions_refuse_forward_mode(text):
    layer = mine(text)
    run = lambda x: layer.apply(*layer.init(jax.random.key(0)), x)[0]
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jit(lambda x: jax.jvp(run, (x,), (x,)))(np.ones((1, 5, 5, 3)))


def test_a_single_value_passes_in_evaluation():
    layer = mine("BatchNorm2d(3)")
    layer.apply(*layer.init(jax.random.key(0)), jnp.ones((1, 1, 1, 3)), train=False)


def test_an_index_out_of_range_gives_nan():
    layer = mine("Embedding(3, 2)")
    y, _ = layer.apply(*layer.init(jax.random.key(0)), jnp.array([2, 3]))
    assert np.isfinite(y[0]).all() and np.isnan(y[1]).all()


def test_dropout_asks_for_masks_by_path_and_in_training_alone():
    net = mine("Sequential(Sequential(Dropout(0.3)), Dropout(0.5))")
    asked = []
    mask = lambda *ask: asked.append(ask) or jnp.arange(8)[:, None] < 4
    y, _ = net.apply(*net.init(jax.random.key(0)), jnp.ones((8, 3)), mask=mask)
    assert asked == [("0.0", (8, 3), 0.3), ("1", (8, 3), 0.5)] and not y[4:].any()
    net.apply(*net.init(jax.random.key(0)), jnp.ones((8, 3)), train=False)


def test_an_array_is_made_of_its_path():
    """A layer more or less leaves the others' initial values as they are."""
    short, long = (mine(f"Sequential({', '.join(['Linear(50, 50)'] * n)})").init(jax.random.key(0))[0] for n in (2, 3))
    np.testing.assert_array_equal(short["1"]["weight"], long["1"]["weight"])
    assert not np.array_equal(long["1"]["weight"], long["2"]["weight"])
