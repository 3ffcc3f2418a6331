"""The networks of the diffusion families against their twins in float64, every weight away from its initial value."""

import inspect
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax.traverse_util import flatten_dict

import torch_ref.backbones
import torch_ref.core
from jaxgen import backbones, weights
from jaxgen.errors import UserError
from jaxgen.functional import Functional
from jaxgen.parity import compare as gates
from jaxgen.parity import pairs
from torch_ref.vision import torchvision

torch.set_num_threads(1)  # the tensors are small: threads would only wait for each other

FILES = ("embeddings", "parts", "unet_blocks", *backbones.names())


class Case(NamedTuple):
    """A network of a file, small: compiling is nearly all of the time; and images for it."""

    file: str
    net: str
    size: tuple[int, int]
    rows: int
    options: dict[str, Any]

    def ours(self):
        return Functional(getattr(import_module(f"jaxgen.backbones.{self.file}"), self.net)(**self.options))

    def theirs(self):
        return getattr(import_module(f"torch_ref.backbones.{self.file}"), self.net)(**self.options).double()


CASES = {
    "documented": Case(
        "documented", "UNet", (8, 11), 2, dict(in_channels=2, out_channels=3, time_emb_dim=12, width=8)),
    "unet": Case("unet", "UNet", (8, 8), 2, dict(
        size=8, in_channels=1, out_channels=1, block_out_channels=(8, 16), layers_per_block=1, attention_levels=(1,),
        norm_num_groups=4)),
    "unet, odd": Case("unet", "UNet", (7, 7), 1, dict(
        size=7, in_channels=2, out_channels=3, block_out_channels=(8, 8), layers_per_block=1, attention_levels=(0,),
        norm_num_groups=2, classes=3, dropout=0.3, context=5, attention_head_dim=4, norm_eps=1e-6, downsample_padding=0,
        flip_sin_to_cos=False, freq_shift=1)),
    "dit": Case("dit", "DiT", (8, 8), 2, dict(size=8, channels=1, width=8, depth=2, heads=2)),
    "dit, odd": Case("dit", "DiT", (9, 9), 1, dict(
        size=9, channels=2, width=12, depth=2, heads=3, patch=3, classes=3, context=5, dropout=0.3)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_network_is_its_twin(name):
    compare(name)


def compare(name):
    params, free, fixed, masks, have = here(name)
    twin = CASES[name].theirs()
    pairs.give(twin, params, {})
    want = there(twin, free, fixed, masks)
    grads = {key: x for key, x in want.items() if key != "y"}
    assert all(np.abs(x).max() > 0 for x in grads.values()), "a gradient that tells nothing"
    floor = 1e-4 * gates.largest(grads)  # some are zero but for rounding
    for level, keys, least in (("outputs", {"y"}, 0), ("gradients", grads.keys(), floor)):
        row = gates.compare(level, *({key: x[key] for key in keys} for x in (have, want)), floor=least)
        assert row.ok, row
    assert have.keys() == want.keys()


@cache
def here(name):
    """-> params, inputs with a gradient and those without, {path: masks}, {what: array} of our network."""
    random, net = np.random.default_rng(0), CASES[name].ours()
    shapes = jax.eval_shape(net.init, jax.random.key(0))[0]
    params = pairs.randomised(jax.tree.map(lambda x: np.zeros(x.shape), shapes), random)
    free, fixed = inputs(CASES[name], random)
    masks = {}

    def mask(path, shape, p):
        masks.setdefault(path, []).append(random.uniform(size=shape) > p)
        return masks[path][-1]

    def value(params, free):
        y, _ = net.apply(params, {}, *arguments(free | fixed), mask=mask)
        return (probe(y.shape) * jnp.sin(y)).sum(), y

    slopes = pairs.quick(jax.value_and_grad(value, argnums=(0, 1), has_aux=True))
    (_, y), (by_params, by_inputs) = slopes(params, free)
    found = {"y": y, **by_inputs, **flatten_dict(by_params, sep=".")}
    return params, free, fixed, masks, pairs.plain(found)


def inputs(case, random):
    """Times may be fractions, and negative; one label is that of no class."""
    channels, classes, context = (getattr(case.ours(), name) for name in ("channels", "classes", "context"))
    free = {"x": random.normal(size=(case.rows, *case.size, channels))}
    free["time"] = np.array([-3.7, 412.3])[-case.rows :]
    if context:
        free["context"] = random.normal(size=(case.rows, 4, context))
    return free, {"label": np.array([1, classes])[-case.rows :]} if classes else {}


def arguments(given):
    return [given.get(name) for name in ("x", "time", "label", "context")]


def probe(shape):
    return np.random.default_rng(1).normal(size=shape)


def first(x):
    """For torch: images with channels first."""
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy() if x.ndim == 4 else x)


def there(twin, free, fixed, masks):
    """The same of the twin, images with channels last."""
    given = {name: first(x).requires_grad_() for name, x in free.items()}
    with torch_ref.core.dropout(twin, {path: map(first, each) for path, each in masks.items()}):
        y = twin(*arguments(given | {name: first(x) for name, x in fixed.items()})).movedim(1, -1)
    (torch.from_numpy(probe(y.shape)) * y.sin()).sum().backward()
    found = {"y": y, **{name: x.grad for name, x in [*given.items(), *twin.named_parameters()]}}
    return pairs.arrays(found | {"x": found["x"].movedim(1, -1)})


def test_one_row_of_the_documented_network():
    """The other networks have cases of one row."""
    case = CASES["documented"]
    params, free, fixed, _, have = here("documented")
    row = [x if x is None else x[:1] for x in arguments(free | fixed)]
    y = pairs.quick(lambda params: case.ours().apply(params, {}, *row)[0])(params)
    np.testing.assert_allclose(y, have["y"][:1], rtol=0, atol=1e-9 * np.abs(have["y"]).max())


TOLD = dict(classes=3, context=5, dropout=0.1)
BUILT = [(name, told) for name in backbones.names() for told in ({}, TOLD) if (name, told) != ("documented", TOLD)]


@pytest.mark.parametrize("name, told", BUILT, ids=str)
def test_built_networks_have_the_same_keys_and_shapes(name, told):
    """By width, as a family builds them; and images come out as they went in."""
    for size in (28, 32) if name == "dit" else (28, 32, 17):
        net = Functional(backbones.build(name, size, 3, 16, **told))
        params = jax.eval_shape(net.init, jax.random.key(0))[0]
        want = torch_ref.backbones.build(name, size, 3, 16, **told).state_dict()
        have = {key: x.shape for key, x in flatten_dict(params, sep=".").items()}
        assert have == {key: tuple(x.shape) for key, x in want.items()}
    single = lambda shape: jax.ShapeDtypeStruct(shape, "float32")
    params = jax.tree.map(lambda x: single(x.shape), params)
    label, context = (jnp.zeros(2, int), single((2, 7, 5))) if told else (None, None)
    run = lambda params, x, time, context: net.apply(
        params, {}, x, time, label, context, mask=lambda path, shape, p: jnp.ones(shape, bool), compute=jnp.bfloat16
    )[0]
    y = jax.eval_shape(run, params, single((2, size, size, 3)), single((2,)), context)
    assert y.shape == (2, size, size, 3)


def test_documented_width_is_the_default():
    """3 871 939 weights were counted with a GroupNorm(1, 1) at the entry of the printed network; here the entry is a
    stem, then a block from 64 to 64 channels without a shortcut of its own."""
    params = jax.eval_shape(Functional(backbones.build("documented", 28, 1, 64)).init, jax.random.key(0))[0]
    count = sum(x.size for x in jax.tree.leaves(params))
    norms, entry, stem, shortcut = 2 * 64 - 2 * 1, 9 * 64 * (64 - 1), 9 * 64 + 64, 64 + 64
    assert count == 3_871_939 + norms + entry + stem - shortcut == 3_908_865


@pytest.mark.parametrize("name", ["unet, odd", "dit, odd"])
def test_what_begins_at_zero(name):
    """The twin's list is ours."""
    recipes = {".".join(path): make for path, make in CASES[name].ours().recipes[0].items()}
    zero = {key for key, x in CASES[name].theirs().state_dict().items() if not x.any()}
    norms = {key for key in zero if "norm" in key and key.endswith("bias")}
    assert len(zero - norms) >= 6
    drawn = lambda make: "random" in str(jax.make_jaxpr(make)(jax.random.key(0)))
    assert zero == {key for key, make in recipes.items() if not drawn(make) and not make(jax.random.key(0)).any()}


def test_weights_of_diffusers(tmp_path):
    """Its `UNet2DModel` in two configurations, that of the class and that of the published DDPMs: keys, shapes and
    results."""
    torchvision()  # repairs torchvision, which diffusers imports, where it is broken
    UNet2DModel = pytest.importorskip("diffusers").UNet2DModel
    shared = dict(in_channels=2, out_channels=3, block_out_channels=(8, 16), norm_num_groups=4)
    for theirs, ours in (
        (dict(layers_per_block=1, num_class_embeds=4), dict(layers_per_block=1, attention_levels=(1,), classes=3)),
        (DDPM, DDPM | dict(attention_levels=(1,))),
    ):
        blocks = dict(
            down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D")
        )
        reference = UNet2DModel(sample_size=8, **shared, **blocks, **theirs).double()
        compare_with_diffusers(reference, dict(size=8, **shared, **ours), tmp_path / "net.safetensors")


BLOCKS = dict(down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"))
DDPM = dict(downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6, attention_head_dim=None)


def compare_with_diffusers(reference, options, path):
    random, case = np.random.default_rng(0), Case("unet", "UNet", (8, 8), 2, options)
    reference.load_state_dict({key: torch.from_numpy(random.normal(0, 0.3, x.shape)) for key, x in
                               reference.state_dict().items()})  # fmt: skip
    free, fixed = inputs(case, random)
    twin, net = case.theirs(), case.ours()
    twin.load_state_dict(reference.state_dict(), strict=True)
    weights.write(path, pairs.arrays(reference.state_dict()))
    like = jax.tree.map(lambda x: np.zeros(x.shape), jax.eval_shape(net.init, jax.random.key(0)))
    params, stats = weights.from_state_dict(*like, weights.read(path))
    reference.time_proj = Waves(reference.time_proj)
    x, time, label, _ = (each if each is None else first(each) for each in arguments(free | fixed))
    with torch.no_grad():
        want = reference(x, time, label).sample.movedim(1, -1).numpy()
        theirs = twin(x, time, label).movedim(1, -1).numpy()
    ours = pairs.quick(lambda params: net.apply(params, stats, *arguments(free | fixed))[0])(params)
    row = gates.compare("outputs", {"ours": np.asarray(ours), "the twin's": theirs}, {"ours": want, "the twin's": want})
    assert row.ok, row


class Waves(torch.nn.Module):
    """What diffusers computes in float32, whatever it is given: once it is seen to be ours to that precision, ours."""

    def __init__(self, right):
        super().__init__()
        self.right = right

    def forward(self, time):
        options = dict(flip_sin_to_cos=self.right.flip_sin_to_cos, freq_shift=self.right.downscale_freq_shift)
        waves = torch_ref.backbones.embeddings.sinusoidal(time, self.right.num_channels, **options)
        torch.testing.assert_close(self.right(time).double(), waves, rtol=0, atol=1e-4)
        return waves


FAULTS = {  # what it is: (the case that sees it, file, right, wrong)
    "corners not aligned": ("documented", "documented", "align_corners=True", "align_corners=False"),
    "up and skip change places": ("documented", "documented", "[up, skip]", "[skip, up]"),
    "time after the second norm": (
        "documented", "documented", "h = h + self.time_mlp(t)[:, :, None, None]\n        h = self.block2(h)",
        "h = self.block2(h)\n        h = h + self.time_mlp(t)[:, :, None, None]"),
    "rates by one less": ("documented", "embeddings", "(half - freq_shift)", "(half - 1)"),
    "norm's eps": ("unet", "unet", "norm_eps=1e-5", "norm_eps=1e-6"),
    "sines first": ("unet", "unet", "flip_sin_to_cos=True", "flip_sin_to_cos=False"),
    "padded on the other side": ("unet, odd", "unet_blocks", "(0, 1, 0, 1)", "(1, 0, 1, 0)"),
    "time without its SiLU": ("unet", "unet_blocks", "self.time_emb_proj(F.silu(emb))", "self.time_emb_proj(emb)"),
    "nothing but attention": ("unet", "unet_blocks", "return x + self.to_out(h)", "return self.to_out(h)"),
    "heads interleaved": (
        "unet", "parts", "x.unflatten(2, (heads, -1)).transpose(1, 2)", "x.unflatten(2, (-1, heads)).movedim(3, 1)"),
    "bilinear for nearest": (
        "unet", "unet_blocks", "F.interpolate(x, size)",
        'F.interpolate(x, size, mode="bilinear")'),
    "scale and shift change places": ("dit", "dit", "x * (1 + scale) + shift", "x * (1 + shift) + scale"),
    "scale without its one": ("dit", "dit", "(1 + scale)", "scale"),
    "erf for tanh": ("dit", "dit", 'nn.GELU(approximate="tanh")', "nn.GELU()"),
    "columns for rows": ("dit", "embeddings", "[rows, columns]", "[columns, rows]"),
    "patches transposed": ("dit", "dit", "permute(0, 5, 1, 3, 2, 4)", "permute(0, 5, 1, 4, 2, 3)"),
    "context not normalised for": ("dit, odd", "dit", "self.cross(self.norm(x), context)", "self.cross(x, context)"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_seen(name, monkeypatch):
    """One change in the text of the twin; the comparison passes without it."""
    case, file, right, wrong = FAULTS[name]
    module = import_module(f"torch_ref.backbones.{file}")
    text, before = inspect.getsource(module), dict(vars(module))
    assert text.count(right) == 1
    faulty = dict(before)
    exec(compile(text.replace(right, wrong), module.__file__, "exec"), faulty)
    for user in (import_module(f"torch_ref.backbones.{file}") for file in FILES):
        for key, value in before.items():
            if vars(user).get(key) is value and faulty[key] is not value and not key.startswith("__"):
                monkeypatch.setattr(user, key, faulty[key])
    with pytest.raises(AssertionError):
        compare(case)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("unknown", 28, 1, 8), "'unknown': expected one of dit, documented, unet"),
        (("documented", 28, 1, 12), "multiple of 8.* got 12"),
        (("documented", 28, 1, 0), "multiple of 8.* got 0"),
        (("documented", 7, 1, 8), "8 pixels or more.* got 7"),
        (("documented", 28, 1, 8, 10), "classes=10"),
        (("documented", 28, 1, 8, 0, 32, 0.1), "context=32, dropout=0.1"),
        (("unet", 28, 1, 20), "multiple of 8.* got 20"),
        (("unet", 28, 1, 0), "multiple of 8.* got 0"),
        (("dit", 27, 1, 8), "multiple of the patches' 2 pixels, got 27"),
        (("dit", 0, 1, 8), "multiple of the patches' 2 pixels, got 0"),
        (("dit", 28, 1, 6), "multiple of 4 .*got 6"),
    ],
    ids=str,
)
def test_what_cannot_be_built(arguments, words):
    with pytest.raises(UserError, match=words):
        backbones.build(*arguments)
    with pytest.raises(ValueError, match=words):
        torch_ref.backbones.build(*arguments)


@pytest.mark.parametrize(
    "net, options, words",
    [
        ("UNet", dict(size=1, block_out_channels=(8, 8), norm_num_groups=2), "1 pixels cannot be halved 1 times"),
        ("UNet", dict(size=8, block_out_channels=(8, 12), norm_num_groups=8), "norm_num_groups=8 .*(8, 12)"),
        ("UNet", dict(size=8, block_out_channels=(8, 12), norm_num_groups=4), "attention_head_dim=8.*(8, 12)"),
    ],
)
def test_what_the_unet_cannot_be(net, options, words):
    for package, error in (("jaxgen", UserError), ("torch_ref", ValueError)):
        with pytest.raises(error, match=words):
            import_module(f"{package}.backbones.unet").UNet(in_channels=1, out_channels=1, **options)


WRONG = [  # the case, what is changed, what is said
    ("documented", dict(x=(2, 8, 8, 3)), r"\(N, 8 or more, 8 or more, 2\), got \(2, 8, 8, 3\)"),
    ("documented", dict(x=(2, 8, 7, 2)), r"8 or more.* got \(2, 8, 7, 2\)"),
    ("documented", dict(x=(2, 64)), r"images .*got \(2, 64\)"),
    ("documented", dict(time=(1,)), r"times \(2,\), .*got \(1,\)"),
    ("documented", dict(time=()), r"times \(2,\), .*got \(\)"),
    ("documented", dict(label=(2,)), "no label, got one. Leave it out"),
    ("documented", dict(context=(2, 4, 5)), "no context, got one. Leave it out"),
    ("unet", dict(x=(2, 8, 8, 3)), r"\(N, 8, 8, 1\), got \(2, 8, 8, 3\)"),
    ("unet", dict(x=(2, 16, 16, 1)), r"\(N, 8, 8, 1\), got \(2, 16, 16, 1\). Resize"),
    ("unet, odd", dict(label=None), "expected label, got none. Give it"),
    ("unet, odd", dict(context=None), "expected context, got none. Give it"),
    ("dit", dict(x=(2, 9, 9, 1)), r"\(N, 8, 8, 1\), got \(2, 9, 9, 1\)"),
    ("dit, odd", dict(label=(2,)), r"label \(1,\), .*got \(2,\)"),
    ("dit, odd", dict(label=(1, 4)), r"label \(1,\), .*got \(1, 4\)"),
    ("dit, odd", dict(context=(1, 4, 6)), r"context \(1, tokens, 5\), got \(1, 4, 6\)"),
    ("dit, odd", dict(context=(2, 4, 5)), r"context \(1, tokens, 5\), got \(2, 4, 5\)"),
    ("dit, odd", dict(context=(1, 5)), r"context \(1, tokens, 5\), got \(1, 5\)"),
]  # fmt: skip


@pytest.mark.parametrize("name, changed, words", WRONG, ids=str)
def test_what_a_network_refuses(name, changed, words):
    free, fixed = inputs(CASES[name], np.random.default_rng(0))
    changed = {key: shape if shape is None else np.zeros(shape, int if key == "label" else float) for key, shape in
               changed.items()}  # fmt: skip
    given = arguments(free | fixed | changed)
    net = CASES[name].ours()
    params, stats = jax.eval_shape(net.init, jax.random.key(0))
    with pytest.raises(UserError, match=words):
        jax.eval_shape(lambda params: net.apply(params, stats, *given, mask=lambda path, shape, p: 1)[0], params)
    with pytest.raises(ValueError, match="expected"):
        CASES[name].theirs()(*(x if x is None else first(x) for x in given))
