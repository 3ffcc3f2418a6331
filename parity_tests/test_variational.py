"""Variational autoencoders against closed forms: likelihoods, divergence, bounds, free bits, annealing; and the table
of a VQ-VAE against a loop written by hand."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx

from jaxgen import core, find, parallel, parity, variational
from jaxgen.errors import UserError
from jaxgen.families import conv_vae, vae, vqvae
from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.parity.compare import UPDATE, compare
from jaxgen.weights import to_state_dict
from torch_ref import core as torch_core
from torch_ref import variational as theirs
from torch_ref.families.vqvae import VectorQuantizer as Twin

NAMES = ("vae", "conv_vae")
TINY = dict(size=1, channels=2, hidden=(), latent=1, likelihood="gaussian", sigma=0.5)
FREE = vae.Family.further[0]


@pytest.mark.parametrize(
    "mu, logvar, nats", [(1.0, 0.5, 0.57436063535), (2.0, 0.0, 2.0), (0.0, math.log(4), 0.80685281944)]
)
def test_divergence(mu, logvar, nats):
    for module, array in ((variational, jnp.float64), (theirs, partial(torch.tensor, dtype=torch.float64))):
        np.testing.assert_allclose(module.divergence(array(mu), array(logvar)), nats, rtol=1e-10)


def user(family, params, stats):
    """-> function of arrays and `method`, in evaluation."""
    apply = lambda params, stats, given, method: family.apply(params, stats, *given, method=method, train=False)[0]
    return lambda *given, method: pairs.quick(partial(apply, method=method))(params, stats, given)


def test_a_linear_vae_comes_to_probabilistic_pca():
    """Data N(0, W W' + sigma^2 I), W = (1, 1)': the best bound is the entropy, and the posterior is exact. Four points
    have these moments, two draws those of the noise; the loss is quadratic in both, so nothing is left to chance."""
    family, cov = Functional(vae.Family(**TINY)), np.ones((2, 2)) + 0.25 * np.eye(2)
    points = math.sqrt(2) * np.concatenate([side := np.linalg.cholesky(cov).T, -side])
    batch, draws = {"image": np.repeat(points, 2, 0).reshape(8, 1, 1, 2)}, {"eps": np.tile([[1.0], [-1.0]], (4, 1))}
    draws["masks"] = {"vae": {}}
    txs = {"vae": optax.adam(optax.cosine_decay_schedule(0.05, 2000))}
    step = lambda state, _: core.update(family, txs, state, batch, draws)
    run = pairs.quick(lambda key: jax.lax.scan(step, core.init(family, txs, key), None, 2000), often=True)
    state, told = run(jax.random.key(0))
    assert abs(told["loss"][-1] - 2.5501949940) < 1e-9 and abs(told["kl"][-1] - math.log(3)) < 1e-6
    assert told["loss"].min() > 2.5501949940 - 1e-9
    use = user(family, state.params, {})
    np.testing.assert_allclose(np.exp(use(batch["image"], method="encode")[1]), 1 / 9, rtol=1e-5)
    log_p = -0.5 * ((points @ np.linalg.inv(cov) * points).sum(1) + math.log(np.linalg.det(2 * math.pi * cov)))
    for count in (1, 3, 10):  # the weights are all the same
        eps = np.random.default_rng(count).normal(size=(4, count, 1))
        np.testing.assert_allclose(use(points.reshape(4, 1, 1, 2), eps, method="bound"), log_p, atol=1e-5)


def flat(value):
    """A VAE of one pixel whose posterior is the prior and whose decoder is the identity, sigma 1."""
    family = Functional(vae.Family(**TINY | dict(channels=1, sigma=1.0)))
    params = jax.tree.map(lambda x: jnp.zeros(x.shape), jax.eval_shape(family.init, jax.random.key(0))[0])
    params["vae"]["decoder"]["0"]["weight"] = jnp.ones((1, 1))
    return lambda eps: user(family, params, {})(np.full((eps.shape[0], 1, 1, 1), value), eps, method="bound")


@pytest.mark.parametrize("x, log_p, least", [(0.0, -1.2655121235, -1.4189385332), (1.0, -1.5155121235, -1.9189385332)])
def test_more_codes_bring_the_bound_to_the_evidence(x, log_p, least):
    bound, eps = flat(x), np.random.default_rng(0).normal(size=(200_000, 1, 1))
    means = [float(bound(eps.reshape(-1, count, 1)).mean()) for count in (1, 2, 10, 1000)]
    assert means == sorted(means)
    assert abs(means[0] - least) < 0.01 and abs(means[-1] - log_p) < 0.01


LOGITS = np.array([-20.0, -3.0, -1.1, -1 - 1e-9, -1 + 1e-9, -1e-3, -1e-8, 0.0, 1e-12, 0.01, 0.3, 0.999, 1.0, 7.0])


def test_continuous_bernoulli_is_torchs():
    l, x = np.meshgrid(LOGITS, [0.0, 0.3, 1.0])
    there = torch.distributions.ContinuousBernoulli(logits=torch.from_numpy(l))
    likelihood = variational.continuous_bernoulli
    nats = likelihood.nats(l.reshape(-1, 1), x.reshape(-1, 1), None)
    np.testing.assert_allclose(nats, -there.log_prob(torch.from_numpy(x)).flatten(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(likelihood.mean(l), there.mean, rtol=1e-9)


@pytest.mark.parametrize("name, slope", [("log_normaliser", 0.0), ("continuous_mean", 1 / 12)])
def test_the_formulas_near_zero(name, slope):
    """Values and slopes of both sides agree, are finite at 0, and are smooth where the formulas meet."""
    here, there = getattr(variational, name), getattr(theirs, name)
    both = pairs.quick(jax.vmap(jax.value_and_grad(here)))
    l = torch.tensor(LOGITS, requires_grad=True)
    (want,) = torch.autograd.grad((y := there(l)).sum(), l)
    values, slopes = both(LOGITS)
    np.testing.assert_allclose(values, y.detach(), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(slopes, want, rtol=1e-10, atol=1e-14)
    assert slopes[7] == slope and abs(slopes[3] - slopes[4]) < 1e-9 and abs(values[3] - values[4]) < 1e-9
    assert abs(slopes[10] - (here(0.301) - here(0.299)) / 0.002) < 1e-7
    assert np.isfinite(both(np.float32([1e-30, 0, 1e30]))).all()


@pytest.mark.parametrize("name", ["continuous_bernoulli", "gaussian"])
def test_a_likelihood_is_a_density(name):
    """It integrates to one, and `mean` is its mean."""
    x = np.linspace(0, 1, 20_001) if name == "continuous_bernoulli" else np.linspace(-9, 9, 20_001)
    likelihood = variational.named(name)
    run = pairs.quick(
        lambda out: (likelihood.nats(out + 0 * x[:, None], x[:, None], jnp.log(0.7)), likelihood.mean(out))
    )
    for out in (-4.0, -0.05, 0.0, 1.5):
        nats, mean = run(out)
        density = np.exp(-nats)
        np.testing.assert_allclose(np.trapezoid(density, x), 1, rtol=1e-6)
        np.testing.assert_allclose(np.trapezoid(x * density, x), mean, atol=1e-6)


def told(family, params, batch, draws):
    """-> loss, metrics, slopes of the encoder."""

    def run(params, batch, draws):
        loss = lambda params: family.loss("vae", params, {}, batch, draws)
        (value, (metrics, _)), slopes = jax.value_and_grad(loss, has_aux=True)(params)
        return value, metrics, slopes["vae"]["encoder"]

    return pairs.quick(run)(params, batch, draws)


def at_start(name, **more):
    """-> family, twin, a state, a batch."""
    ours = find.family(name)
    family, twin = pairs.Case(name, ours.small | more, ours, find.twin(name)).build()
    state, batch = pairs.start(family, family.optimizers(lr=pairs.LR), twin), pairs.at(pairs.batches(family, 1), 0)
    pairs.give(twin, state.params, state.stats)
    return family, twin, state, batch


def test_free_bits_cost_nothing_and_tell_nothing():
    build = lambda **more: Functional(vae.Family(**vae.Family.small | more))
    family, _, state, batch = at_start("vae")
    given = state.params, batch, pairs.quick(family.draw)(jax.random.key(1), batch)
    value, metrics, slopes = told(build(free_bits=100.0), *given)
    np.testing.assert_allclose(value, metrics["rec"] + 3 * 100.0, rtol=1e-12)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9), slopes, told(build(beta=0.0), *given)[2])
    # far below what each place of the code costs
    np.testing.assert_allclose(told(build(free_bits=1e-9), *given)[0], told(build(), *given)[0], rtol=1e-12)


def test_annealing_counts_the_steps():
    """Beta rises in steps 0, 1, ... of training; an evaluation takes it whole."""
    family, _, state, batch = at_start("vae", beta=2.0, beta_warmup=4)
    step, draw = pairs.quick(partial(core.step, family, family.optimizers(lr=pairs.LR))), pairs.quick(family.draw)
    for part in (0.25, 0.5, 0.75, 1.0, 1.0):
        np.testing.assert_array_equal(draw(jax.random.key(0), batch, state.step)["annealed"], np.full(8, part))
        state, metrics = step(state, batch, jax.random.key(1))
        np.testing.assert_allclose(metrics["loss"], metrics["rec"] + 2 * part * metrics["kl"], rtol=1e-12)
    assert (draw(jax.random.key(0), batch)["annealed"] == 1).all()


def near_codes(family, state, batch):
    """The state with a table, if it has one, of vectors that the encoder gives: then a batch chooses many of them."""
    if not state.stats:
        return state
    encoder = Functional(family.vae.encoder)
    x, _ = pairs.quick(encoder.apply)(state.params["vae"]["encoder"], {}, batch["image"])
    old = state.stats["vae"]["codebook"]
    weight = np.asarray(x).reshape(-1, x.shape[-1])[: len(old["weight"])]
    codebook = {"weight": weight, "embed_avg": weight, "cluster_size": np.ones(len(weight))}
    return state.replace(stats={"vae": {"codebook": codebook}})


@pytest.mark.parametrize("name, more", [("vae", FREE), ("vqvae", {})], ids=["vae", "vqvae"])
def test_the_batch_of_all_devices_counts(name, more):
    """For free bits, whose means are of the whole batch, and for the table of codes."""
    family, _, state, batch = at_start(name, **more)
    begun = jax.tree.map(np.asarray, (near_codes(family, state, batch), batch))
    step = partial(core.step, family, family.optimizers(lr=pairs.LR))
    run = lambda way: way(step)(*jax.tree.map(jnp.array, begun), jax.random.key(1))
    (one, want), (many, have) = map(run, (parallel.jit, parallel.pmap))
    assert "perplexity" not in want or want["perplexity"] > 2
    rows = [
        compare("metrics", have, want),
        compare("weights", *(to_state_dict(state.params, {}) for state in (many, one)), UPDATE, scale=pairs.LR),
        compare("statistics", *(to_state_dict({}, state.stats) for state in (many, one))),
    ]
    assert all(row.ok for row in rows), rows


@pytest.mark.parametrize("case", [case for name in (*NAMES, "vqvae") for case in parity.cases(name)], ids=str)
def test_codes_images_and_bounds_are_the_twins(case):
    family, twin, state, batch = at_start(case.name, **case.arguments)
    twin.eval()
    (mine,) = pairs.to_torch(family, batch).values()
    use = user(family, state.params, state.stats)
    codes, want = use(batch["image"], method="encode"), twin.encode(mine)
    for have, there in zip(codes, want, strict=True):
        np.testing.assert_allclose(have, pairs.array(there), rtol=1e-9, atol=1e-12)
    z = codes if case.name == "vqvae" else codes[0]
    image = use(z, method="decode")
    assert image.shape == batch["image"].shape
    np.testing.assert_allclose(image, pairs.from_torch(twin.decode(pairs.tensor(z))), rtol=1e-9, atol=1e-12)
    if case.name != "vqvae":
        eps = np.random.default_rng(0).normal(size=(8, 5, 3))
        if case.arguments.get("likelihood") == "documented":
            with pytest.raises(UserError, match="bound: the documented loss is no likelihood"):
                use(batch["image"], eps, method="bound")
        else:
            have, want = use(batch["image"], eps, method="bound"), twin.bound(mine, pairs.tensor(eps))
            np.testing.assert_allclose(have, pairs.array(want), rtol=1e-9)


BAD = [
    (dict(latent=0), "latent: expected at least 1, got 0."),
    (dict(beta=-1.0), "beta: expected at least 0, got -1.0."),
    (dict(beta_warmup=-1), "beta_warmup: expected at least 0, got -1."),
    (dict(free_bits=float("nan")), "free_bits: expected at least 0, got nan."),
    (dict(sigma=0.0), "sigma: expected more than 0, got 0.0."),
    (dict(likelihood="draw"), "likelihood: expected one of bernoulli, .*, documented, got 'draw'."),
    (dict(importance=0), "importance: expected at least 1, got 0."),
    (dict(importance=2, beta=0.5), "importance 2: expected no beta, beta_warmup or free_bits beside it"),
    (dict(importance=2, free_bits=0.5), "importance 2: expected no beta, beta_warmup or free_bits beside it"),
    (dict(importance=2, likelihood="documented"), "importance: the documented loss is no likelihood"),
]


@pytest.mark.parametrize("given, message", BAD)
@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be(name, given, message):
    with pytest.raises(UserError, match=message):
        find.family(name)(**given)


@pytest.mark.parametrize(
    "build, given, message",
    [
        (vae.Family, dict(hidden=(3, 0)), r"hidden: expected widths of at least 1, got \(3, 0\)."),
        (conv_vae.Family, dict(size=15), "size: expected an even number above 8, which can be halved, got 15."),
        (conv_vae.Family, dict(size=8), "size: expected an even number above 8"),
        (conv_vae.Family, dict(width=0), r"width: expected widths of at least 1, got \(0,\)."),
        (vqvae.Family, dict(size=14), "size: expected a multiple of 4, as it is halved twice, got 14."),
        (vqvae.Family, dict(vectors=0), "vectors: expected at least 1, got 0."),
        (vqvae.Family, dict(decay=1.0), r"decay: expected a number in \[0, 1\), got 1.0."),
        (vqvae.Family, dict(commitment=-1.0), "commitment: expected a weight of at least 0, got -1.0."),
    ],
)
def test_what_cannot_be_built(build, given, message):
    with pytest.raises(UserError, match=message):
        build(**given)


@pytest.mark.parametrize("size, sides", [(16, [16, 8]), (28, [28, 14, 7]), (32, [32, 16, 8]), (64, [64, 32, 16, 8])])
def test_how_often_images_are_halved(size, sides):
    assert conv_vae.halved(size) == sides
    family = Functional(conv_vae.Family(size=size, width=4, latent=2))
    params, _ = jax.eval_shape(family.init, jax.random.key(0))
    image = jax.eval_shape(lambda params: family.sample(params, {}, family.draw_sample(jax.random.key(0), 3)), params)
    assert image.shape == (3, size, size, 1)


class Table(nnx.Module):
    def __init__(self, *given):
        self.table = vqvae.VectorQuantizer(*given)

    def __call__(self, x):
        return self.table(x)


def test_the_table_moves_as_in_the_paper():
    """Appendix A.1 by a loop over rows, from the first step on; a vector that nobody chose keeps its place."""
    table, rng, decay, eps = Functional(Table(6, 3)), np.random.default_rng(0), 0.99, 1e-5
    _, stats = table.init(jax.random.key(0))
    e = np.array(stats["table"]["weight"])
    assert np.abs(e).max() <= 1 / 6 and not stats["table"]["cluster_size"].any()
    size, total = np.zeros(6), np.zeros((6, 3))
    for _ in range(4):
        x = rng.normal(size=(4, 2, 2, 3))
        chosen = [int(((e - row) ** 2).sum(1).argmin()) for row in x.reshape(-1, 3)]
        (nearest, codes), stats = table.apply({}, stats, x)
        np.testing.assert_array_equal(codes.ravel(), chosen)
        np.testing.assert_allclose(nearest.reshape(-1, 3), e[chosen], rtol=1e-12)
        for k in range(6):
            mine = [row for row, choice in zip(x.reshape(-1, 3), chosen, strict=True) if choice == k]
            size[k] = decay * size[k] + (1 - decay) * len(mine)
            total[k] = decay * total[k] + (1 - decay) * sum(mine, np.zeros(3))
        smooth = (size + eps) / (size.sum() + 6 * eps) * size.sum()
        e = np.where(size[:, None] > 0, total / np.where(size > 0, smooth, 1)[:, None], e)
        np.testing.assert_allclose(stats["table"]["weight"], e, rtol=1e-10)
    _, same = table.apply({}, stats, x, train=False)
    jax.tree.map(np.testing.assert_array_equal, same, stats)


def test_the_table_is_the_twins():
    """Of rows that choose all of its vectors, of ties, and in evaluation."""
    rng, table, twin = np.random.default_rng(1), Functional(Table(5, 3)), Twin(5, 3).double()
    stats = {"weight": rng.normal(size=(5, 3)), "cluster_size": np.ones(5), "embed_avg": rng.normal(size=(5, 3))}
    stats["weight"][3] = stats["weight"][1]
    twin.load_state_dict({key: torch.from_numpy(x.copy()) for key, x in stats.items()})
    stats = {"table": stats}
    for train in (True, True, False):
        x = rng.normal(size=(7, 2, 3, 3))
        x[0, 0, 0] = stats["table"]["weight"][1]
        (nearest, codes), stats = table.apply({}, stats, x, train=train)
        there, want = twin.train(train)(torch.from_numpy(np.moveaxis(x, -1, 1)))
        assert len(np.unique(codes)) >= 4 and codes.dtype == np.int32
        np.testing.assert_array_equal(codes, want)
        np.testing.assert_allclose(nearest, np.moveaxis(there.numpy(), 1, -1), rtol=1e-12)
        for key, x in twin.state_dict().items():
            np.testing.assert_allclose(stats["table"][key], x, rtol=1e-11, err_msg=key)


def test_steps_with_many_codes_are_torchs():
    """Where the codes of a step differ, which those of random weights hardly do."""
    family, twin, state, batch = at_start("vqvae")
    txs, optimizers = family.optimizers(lr=pairs.LR), twin.optimizers(lr=pairs.LR)
    state, batches, update = near_codes(family, state, batch), pairs.batches(family, 3), pairs.updates(family, txs)
    pairs.give(twin, state.params, state.stats)
    seen = []
    for i in range(3):
        batch = pairs.at(batches, i)
        draws = family.draw(jax.random.key(i), batch)
        state, have = update(state, batch, draws)
        want = torch_core.update(twin.train(), optimizers, *pairs.to_torch(family, (batch, draws)))
        row = compare("metrics", pairs.plain(have), pairs.arrays(want))
        assert row.ok, row
        seen.append(float(have["perplexity"]))
    row = compare("statistics", to_state_dict({}, state.stats), pairs.arrays(twin.state_dict()))
    errors = {key: error for key, error in row.errors.items() if "codebook" in key}
    assert len(errors) == 3 and max(errors.values()) < 1e-9 and min(seen) > 2, (errors, seen)


def test_the_gradient_passes_straight_through():
    x, nearest = np.array([1.0, 2.0]), np.array([0.5, 3.0])
    value, slope = jax.value_and_grad(lambda x: (vqvae.straight_through(x, nearest) ** 3).sum())(x)
    np.testing.assert_allclose(value, (nearest**3).sum())
    np.testing.assert_allclose(slope, 3 * nearest**2)


def test_codes_are_drawn_as_often_as_they_are_used():
    """And counted: the perplexity of one code is 1, of all of them their number."""
    family = Functional(vqvae.Family(size=8, width=2, vectors=4, depth=2))
    params, stats = family.init(jax.random.key(0))
    use = lambda stats, *given, method: user(family, params, stats)(*given, method=method)
    perplexity = partial(use, stats, method="perplexity")
    np.testing.assert_allclose(perplexity(jnp.full((3, 2, 2), 2)), 1, rtol=1e-9)
    np.testing.assert_allclose(perplexity(jnp.arange(12).reshape(3, 2, 2) % 4), 4, rtol=1e-8)
    stats["vae"]["codebook"]["cluster_size"] = jnp.array([1.0, 0.0, 2.0, 5.0])
    stats["vae"]["codebook"]["weight"] = jnp.array([[0.0, 0.0], [9.0, 9.0], [0.5, -1.0], [2.0, 1.0]])
    place = family.draw_sample(jax.random.key(3), 2000)["place"]
    codes = np.searchsorted([1 / 8, 1 / 8, 3 / 8], place, side="right")
    np.testing.assert_allclose(use(stats, {"place": place}, method="sample"), use(stats, codes, method="decode"))
    np.testing.assert_allclose(np.bincount(codes.ravel()) / codes.size, [1 / 8, 0, 2 / 8, 5 / 8], atol=0.02)
    assert np.isnan(use(stats, jnp.full((1, 2, 2), 4), method="decode")).all()
