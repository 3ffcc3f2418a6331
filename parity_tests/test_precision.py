"""Named policies: what precision every product asks for, and that bfloat16 stays inside the products."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from cases import FIRST
from jax.lax import Precision
from layer_pairs import QUICK, loaded, mine, theirs
from names import HEAVY, SOME, small
from sklearn.datasets import load_digits

from jaxgen import core, find, nn, parallel, precision
from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.parity.compare import largest
from jaxgen.weights import to_state_dict
from torch_ref import core as torch_core

PRODUCTS = ("dot_general", "conv_general_dilated")
single = partial(jax.tree.map, lambda x: x.astype(np.float32) if x.dtype == np.float64 else x)


@pytest.fixture(autouse=True)
def float32(float64):
    with jax.enable_x64(False):
        yield


@cache
def both(name):
    """The family in float32, and with products in bfloat16."""
    family = small(name)
    return family, Functional(family.module, precision.compute("bf16"))


@cache
def begun(family, steps=1):
    with jax.enable_x64(True):
        state, batches = pairs.start(family, family.optimizers(lr=pairs.LR)), pairs.batches(family, steps)
        draws = [family.draw(jax.random.key(i), pairs.at(batches, i)) for i in range(steps)]
    return single(jax.tree.map(np.asarray, (state, batches, draws)))


def equations(jaxpr):
    """Of a program and of all programs in it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns")):
            if hasattr(inner, "eqns"):
                yield from equations(getattr(inner, "jaxpr", inner))


def program(family, policy):
    """A whole update, gradients included."""
    state, batches, draws = begun(family)
    update = partial(core.update, family, family.optimizers())
    with precision.scope(policy) if policy else jax.default_matmul_precision(None):
        return jax.make_jaxpr(update)(state, pairs.at(batches, 0), draws[0]).jaxpr


def products(family, policy=None):
    """(primitive, dtype, precision) of every product of an update."""
    found = [x for x in equations(program(family, policy)) if x.primitive.name in PRODUCTS]
    asked = lambda params: params["precision"] and params["precision"][0]
    return [(x.primitive.name, x.invars[0].aval.dtype.name, asked(x.params)) for x in found]


@pytest.mark.parametrize("name", SOME, ids=find.label)
def test_products_follow_the_policy(name):
    """The means of a batch norm and the mixing of pixels are at the highest precision under every policy."""
    family, half = both(name)
    free = products(family)
    assert {asked for kind, _, asked in free if kind == "conv_general_dilated"} <= {None}
    assert None in {asked for *_, asked in free} <= {None, Precision.HIGHEST}
    for policy, want in {"float32": Precision.HIGHEST, "tf32": Precision.HIGH}.items():
        assert products(family, policy) == [(kind, "float32", asked or want) for kind, _, asked in free]
    narrowed = products(half, "bf16")
    assert [kind for kind, *_ in narrowed] == [kind for kind, *_ in free]
    assert [dtype for _, dtype, _ in narrowed] == ["float32" if asked else "bfloat16" for *_, asked in free]


def kinds(tree):
    return jax.tree.map(lambda x: x.dtype.name, tree)


@pytest.mark.parametrize("name", SOME[: len(find.names())])
def test_no_sum_and_no_exponential_is_taken_in_half(name):
    """Neither of a loss, nor of the gradient of a bias."""
    assert_nothing_fragile_in_half(both(name)[1])


@pytest.mark.slow
@pytest.mark.parametrize("net", ["unet", "dit"])
def test_nor_in_the_other_networks_of_diffusion(net):
    """Nor of the gradient of what a time tells all pixels or tokens."""
    cls = find.family("flow")
    family = Functional(cls(**cls.small | dict(net=net, classes=3)), precision.compute("bf16"))
    assert_nothing_fragile_in_half(family)


def assert_nothing_fragile_in_half(family):
    fragile = ("reduce_sum", "cumsum", "exp", "exp2", "expm1", "log", "log1p")
    found = [x for x in equations(program(family, "bf16")) if x.primitive.name in fragile and not is_of_one(x)]
    assert found and {x.invars[0].aval.dtype.name for x in found} == {"float32"}, found


def is_of_one(x):
    """A sum over axes of length one: what the gradient of a new axis is."""
    return x.primitive.name == "reduce_sum" and x.invars[0].aval.size == x.outvars[0].aval.size


@pytest.mark.parametrize("name", SOME, ids=find.label)
def test_state_stays_float32(name):
    """Weights, optimiser states, statistics, averages and metrics; and the first losses are those of float32."""
    family, half = both(name)
    state, batches, draws = begun(family, 3)
    assert {x.dtype.name for x in jax.tree.leaves(state)} == {"float32", "int32"}
    told = {}
    for each in (family, half):
        update, now = jax.jit(partial(core.update, each, each.optimizers(lr=pairs.LR)), compiler_options=QUICK), state
        for i in range(3):
            now, metrics = update(now, pairs.at(batches, i), draws[i])
            told.setdefault(each, []).append(metrics)
        assert kinds(now) == kinds(state) and set(kinds(metrics).values()) == {"float32"}
        assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves((now, metrics)))
    for full, narrow in zip(told[family], told[half], strict=True):
        scale = largest(full)  # measured: at most 0.031 of it, the toy critic's penalty
        assert all(abs(narrow[key] - full[key]) < 0.05 * scale for key in full), (full, narrow)
        assert full != narrow


@pytest.mark.parametrize(
    "case", [pytest.param(x, marks=pytest.mark.slow) if x.name in HEAVY else x for x in FIRST.values()], ids=str
)
def test_gradients_are_as_good_as_under_autocast(case):
    """Root mean square error from the float64 truth: at most twice that of torch.autocast (measured: 0.4 to 1.2)."""
    family, half = both(case.name)
    (_, twin), (state, batches, draws) = case.build(), begun(family)
    for name in family.players:
        rows = [core.share(family, tree, 0) for tree in (pairs.at(batches, 0), draws[0])]
        ours = jax.jit(partial(core.gradients, half, name), compiler_options=QUICK)(state, *rows)[0]
        assert {x.dtype for x in jax.tree.leaves(ours)} == {jnp.dtype("float32")}
        given, found = pairs.to_torch(family, rows), {}
        for dtype in (torch.float64, torch.float32):
            as_dtype = lambda x, dtype=dtype: x.to(dtype) if x.is_floating_point() else x
            pairs.give(twin.to(dtype).train(), state.params, state.stats)
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
                grads = torch_core.gradients(twin, name, *jax.tree.map(as_dtype, given))[1]
            found[dtype] = pairs.arrays(grads)
        error = lambda grads, truth=found[torch.float64]: rms(grads[key] - truth[key] for key in truth)
        assert 0 < error(to_state_dict(ours, {})) < 2 * error(found[torch.float32]), name


def rms(arrays):
    return np.sqrt(np.mean(np.concatenate([np.ravel(x) for x in arrays]) ** 2))


@pytest.mark.parametrize("name", SOME, ids=find.label)
def test_what_is_not_narrowed(name):
    """Float64, and float32 in evaluation: to the last bit."""
    family, half = both(name)
    state, batches, draws = begun(family)
    rows = pairs.at(batches, 0), draws[0]
    player = next(iter(family.players))
    evaluate = lambda each: jax.jit(partial(each.loss, player, train=False), compiler_options=QUICK)(
        state.params, state.stats, *rows
    )
    jax.tree.map(np.testing.assert_array_equal, evaluate(half), evaluate(family))
    with jax.enable_x64(True):
        double = lambda tree: jax.tree.map(lambda x: x.astype(float) if x.dtype == np.float32 else x, tree)
        train = lambda each: jax.jit(partial(core.gradients, each, player), compiler_options=QUICK)(
            double(state), *double(rows)
        )
        jax.tree.map(np.testing.assert_array_equal, train(half), train(family))


@pytest.mark.parametrize("name", SOME, ids=find.label)
def test_on_a_cpu_float32_is_what_it_was(name):
    """The scope changes what is asked of a GPU or a TPU alone."""
    family, _ = both(name)
    state, batches, draws = begun(family)
    update = partial(core.update, family, family.optimizers())
    plain = jax.jit(update)(state, pairs.at(batches, 0), draws[0])
    with precision.scope("float32"):
        asked = jax.jit(lambda *given: update(*given))(state, pairs.at(batches, 0), draws[0])
    jax.tree.map(np.testing.assert_array_equal, asked, plain)


LAYERS = {
    "Linear(6, 5)": (4, 6), "Conv2d(4, 6, 3, 2, 1)": (4, 6, 6, 4), "ConvTranspose2d(4, 6, 4, 2, 1)": (4, 6, 6, 4),
    "BatchNorm1d(6)": (16, 6), "BatchNorm2d(4)": (4, 6, 6, 4), "GroupNorm(2, 4)": (4, 6, 6, 4),
    "InstanceNorm2d(4, affine=True)": (4, 6, 6, 4), "LayerNorm(6)": (4, 6), "AvgPool2d(3, 2)": (4, 6, 6, 4),
    "MaxPool2d(3, 2)": (4, 6, 6, 4), "Upsample(scale_factor=3, mode='bilinear')": (4, 6, 6, 4),
    **dict.fromkeys(["ReLU()", "LeakyReLU(0.2)", "GELU()", "SiLU()", "Sigmoid()", "Tanh()"], (4, 6)),
}  # fmt: skip


@pytest.mark.parametrize("text", LAYERS)
def test_layers_in_bfloat16(text):
    """Of what is bfloat16 already a layer makes bfloat16, as near to its float32 as rounding a few times allows; its
    statistics are those of float32 to the last bits."""
    random = np.random.default_rng(0)
    layer, x = mine(text), jnp.asarray(random.normal(3, 1, LAYERS[text]), jnp.bfloat16)
    rounded = lambda value: torch.from_numpy(random.normal(size=value.shape)).bfloat16().float().numpy()
    given = {key: rounded(value) if value.ndim else value.numpy() for key, value in theirs(text).state_dict().items()}
    params, stats = loaded(layer, given, np.float32)
    full, moved = jax.jit(layer.apply)(params, stats, x.astype(jnp.float32))
    have, same = jax.jit(partial(layer.apply, compute=jnp.bfloat16))(params, stats, x)
    assert have.dtype == jnp.bfloat16 and full.dtype == jnp.float32
    np.testing.assert_allclose(have.astype(jnp.float32), full, rtol=0, atol=2**-7 * float(abs(full).max()))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), same, moved)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("name", [name for name in nn.__all__ if name.endswith(("loss", "entropy", "logits"))])
def test_losses_are_float32(name, dtype):
    x, target = jax.random.uniform(jax.random.key(0), (2, 50)).astype(dtype)
    for reduction in ("mean", "none"):
        have = getattr(nn, name)(x, target, reduction=reduction)
        want = getattr(nn, name)(x.astype(jnp.float32), target.astype(jnp.float32), reduction=reduction)
        assert have.dtype == jnp.float32
        np.testing.assert_array_equal(have, want)


def test_embedding_is_not_narrowed():
    """As under torch.autocast: its gradient sums over all places of a word."""
    layer = mine("Embedding(3, 2)")
    params, stats = layer.init(jax.random.key(0))
    y, _ = layer.apply(params, stats, jnp.array([0, 2]), compute=jnp.bfloat16)
    assert y.dtype == jnp.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.nn.Embedding(3, 2)(torch.tensor([0, 2])).dtype == torch.float32


def test_training_in_bfloat16_ends_where_float32_does():
    """A VAE on the digits, 200 steps from one start with one noise: the last losses differ by 0.06 % at most (measured,
    four seeds), having fallen from 46 to 26 nats."""
    family = Functional(find.family("vae")(size=8, hidden=(64,), latent=8))
    images = jnp.asarray(load_digits().images[..., None] / 16, jnp.float32)
    rows = np.random.default_rng(0).integers(0, len(images), (200, 64))
    last = {}
    for policy in ("float32", "bf16"):
        each = Functional(family.module, precision.compute(policy))
        txs = each.optimizers(lr=3e-3)
        with precision.scope(policy):
            run = parallel.jit(parallel.many(partial(core.step, each, txs)))
            _, metrics = run(core.init(each, txs, jax.random.key(0)), {"image": images[rows]}, jax.random.key(1))
        assert metrics["loss"][0] > 1.3 * metrics["loss"][-1]
        last[policy] = float(metrics["loss"][-20:].mean())
    assert 0 < abs(last["bf16"] / last["float32"] - 1) < 0.002, last
