"""Running averages: the warm-up of a decay, and widths that are chosen after training."""

import os
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import CASES
from tool import command

import jaxgen
from jaxgen import averages, core, snapshots, training, weights
from jaxgen.errors import UserError
from jaxgen.parity import pairs
from jaxgen.run import Run

TINY = dict(data="digits", hidden=(16,), size=12, batch=8, parallel="jit", log_every=2)
WIDTHS = (0.05, 0.1)


def leaves(run):
    return jax.tree.leaves(jax.device_get(jaxgen.load(run).state))


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


# ---- the warm-up


@pytest.mark.parametrize("step, decay", [(0, 0.1), (9, 10 / 19), (90, 0.91), (10**7, 0.9999)])
def test_the_decay_rises(step, decay):
    """`closed_forms.md`, I; inside jit, and the twin's."""
    twin = pytest.importorskip("torch_ref.core")
    assert twin.warmed(0.9999, step) == pytest.approx(decay, rel=1e-15)
    assert float(jax.jit(partial(core.warmed, 0.9999))(jnp.int32(step))) == pytest.approx(decay, rel=1e-15)
    with jax.enable_x64(False):
        assert float(core.warmed(0.9999, jnp.int32(step))) == pytest.approx(decay, rel=2e-7)


def random_walk(steps, shape=(3,)):
    return np.cumsum(np.random.default_rng(0).normal(size=(steps, *shape)), 0)


def warm(carry, x):
    old, step = carry
    return (core.average(old, x, core.warmed(0.9, step)), step + 1)


def wide(carry, x):
    old, step = carry
    return core.blend(old, x, averages.share(0.1, step + 1)), step + 1


@pytest.mark.parametrize("one", [warm, wide])
def test_a_scan_and_calls_are_the_same_bits(one):
    with jax.enable_x64(False):
        walk, start = jnp.asarray(random_walk(40), jnp.float32), (jnp.ones(3), jnp.int32(0))
        whole = jax.jit(lambda carry, xs: jax.lax.scan(lambda c, x: (one(c, x), None), carry, xs)[0])(start, walk)
        state, call = start, jax.jit(one)
        for x in walk:
            state = call(state, x)
        assert_same(whole, state)
        assert state[0].dtype == jnp.float32


def test_the_averages_of_a_step_are_the_twins():
    """Both kinds, with the decay that the twin is given; a batch norm's counter is counted."""
    twin_core = pytest.importorskip("torch_ref.core")
    family, twin = next(case for case in CASES if case.name == "mlp_gan").build()
    txs, given = family.optimizers(lr=pairs.LR), pairs.batches(family, 4)
    state = pairs.start(family, txs)
    state = state.replace(widths={"0.1": jax.tree.map(np.zeros_like, state.ema)})
    pairs.give(twin, state.params, state.stats)
    decays = lambda n: {"ema": twin_core.warmed(0.4, n), "0.1": (1 - 1 / (n + 1)) ** (averages.exponent(0.1) + 1)}
    want = {key: twin_core.snapshot(twin) for key in ("ema", "0.1")}
    update = pairs.quick(lambda *given: core.update(family, txs, *given, decay=core.warmed(0.4, given[0].step)))
    for i in range(4):
        batch = pairs.at(given, i)
        state, _ = update(state, batch, family.draw(jax.random.key(i), batch))
        pairs.give(twin, state.params, state.stats)
        want = {key: twin_core.average(old, twin, decays(i)[key]) for key, old in want.items()}
    for key, have in (("ema", state.ema), ("0.1", state.widths["0.1"])):
        have, mine = weights.to_state_dict(**have), pairs.arrays(want[key])
        assert have.keys() == mine.keys()
        for name, x in have.items():
            np.testing.assert_allclose(x, mine[name], rtol=1e-9, atol=1e-12, err_msg=f"{key} {name}")


# ---- widths


@pytest.mark.parametrize("width, g", [(0.05, 16.97), (0.10, 6.94), (0.15, 3.56), (0.20, 1.83), (0.25, 0.72)])
def test_the_exponent_of_a_width(width, g):
    found = averages.exponent(width)
    assert found == pytest.approx(g, abs=0.006)
    assert (found + 1) ** 0.5 / (found + 2) / (found + 3) ** 0.5 == pytest.approx(width, rel=1e-12)


def test_the_width_is_the_deviation_of_the_profile():
    """By the weights that the real updates give to each step."""
    steps = 4000
    kept = np.diff(np.arange(steps + 1.0) ** (averages.exponent(0.1) + 1)) / steps ** (averages.exponent(0.1) + 1)
    place = (np.arange(steps) + 0.5) / steps
    assert ((kept * place**2).sum() - (kept * place).sum() ** 2) ** 0.5 == pytest.approx(0.1, rel=1e-6)
    have = tracked(np.eye(50), (0.1,))[0.1][-1]
    np.testing.assert_allclose(
        have, np.diff((np.arange(51) / 50) ** (averages.exponent(0.1) + 1)), rtol=1e-9, atol=1e-15
    )


def tracked(walk, widths):
    """{width: the average after each step}, by the update of the real step."""

    def one(old, given):
        x, step = given
        new = {width: core.blend(old[width], x, averages.share(width, step)) for width in widths}
        return new, new

    start = {width: jnp.zeros(walk.shape[1:], walk.dtype) for width in widths}
    return jax.lax.scan(one, start, (jnp.asarray(walk), 1 + jnp.arange(len(walk), dtype=jnp.int32)))[1]


def test_the_share_of_a_late_step_keeps_its_digits():
    """1 - (1 - 1 / t)^(g + 1) in float32 would be 0 or 6e-8 at t = 1e8."""
    with jax.enable_x64(False):
        assert float(averages.share(0.1, jnp.int32(10**8))) == pytest.approx(7.94e-8, rel=1e-3)
        assert float(averages.share(0.1, jnp.int32(1))) == 1


@pytest.mark.parametrize("dtype, exact", [(np.float64, 1e-9), (np.float32, 1e-5)])
@pytest.mark.parametrize(
    "width, close", [(0.05, 0), (0.1, 0), (0.07, 0.001), (0.08, 0.001), (0.15, 0.003), (0.2, 0.01)]
)
def test_another_width_is_made_of_the_stored_ones(width, close, dtype, exact):
    """Of two widths, stored ten times, beside the average tracked all the way: relative to the norm of the walk; exact
    where it is one of the two."""
    walk = random_walk(2000, (200,)).astype(dtype)
    both = tracked(walk, (*WIDTHS, width))
    places = range(200, 2001, 200)
    stored = [(each, step) for step in places for each in WIDTHS]
    factors = averages.coefficients(stored, width, 2000)
    made = sum(x * np.float64(both[each][step - 1]) for x, (each, step) in zip(factors, stored, strict=True))
    error = np.linalg.norm(made - both[width][-1]) / np.linalg.norm(both[width][-1])
    assert error < close + exact and abs(factors.sum() - 1) < 0.02


# ---- runs


@pytest.mark.usefixtures("as_a_user")
def test_a_run_that_goes_on_keeps_its_averages():
    options = dict(**TINY, ema=0.9, ema_warmup=True, ema_widths=WIDTHS, snapshot_every=2)
    training.train("vae", **options, steps=4, name="run")
    training.train("vae", **options, steps=8, name="run")
    training.train("vae", **options | {"log_every": 8}, steps=8, name="whole")
    assert_same(leaves("run"), leaves("whole"))
    assert snapshots.steps(Run("run")) == [2, 4, 6, 8]
    assert sorted(os.listdir("run/snapshots/00000008")) == ["vae.0.05.safetensors", "vae.0.1.safetensors"]
    for path in Path("run/snapshots").rglob("*.safetensors"):
        assert_same(weights.read(path), weights.read("whole" / path.relative_to("run")))
    state = jaxgen.load("run").state
    assert_same(state.widths["0.05"]["params"]["vae"], snapshots.read(Run("run"), 0.05)[0]["vae"])
    with pytest.raises(UserError, match="ema_warmup True -> False"):
        training.train("vae", **options | {"ema_warmup": False}, steps=8, name="run")
    with pytest.raises(UserError, match="ema_widths"):
        training.train("vae", **options | {"ema_widths": (0.1,)}, steps=8, name="run")


@pytest.mark.usefixtures("as_a_user")
def test_samples_of_a_width(capsys):
    options = dict(**TINY, lr=0.01, ema=0.9, ema_widths=WIDTHS)
    run = training.train("vae", **options, steps=40, name="run")
    assert snapshots.steps(Run(run)) == list(range(4, 41, 4)), "ten times"
    made = {width: jaxgen.sample(run, count=4, ema_width=width) for width in (None, 0.05, 0.08, 0.2)}
    assert made[0.08].shape == (4, 12, 12, 1) and not np.array_equal(made[0.08], made[0.2])
    assert not np.array_equal(made[None], made[0.05])
    assert command("sample", run, "--count", 4, "--ema-width", 0.08, "--out", "x.npz") == 0
    np.testing.assert_array_equal(np.load("x.npz")["image"], made[0.08])
    capsys.readouterr()
    for words, message in [
        (["run", "--ema-width", 0.4], "width of an average: expected more than 0 and at most 0.28, got 0.4."),
        (["run", "--ema-width", 0.1, "--weights", "raw"], "ema_width 0.1: is of an average that a run has stored"),
        (["run/vae.safetensors", "--ema-width", 0.1], "ema_width 0.1: is of an average that a run has stored"),
    ]:
        assert command("sample", *words) == 2
        told = capsys.readouterr().err
        assert message in told and told.count("\n") == 1
    training.train("vae", **TINY, steps=2, name="bare")
    with pytest.raises(
        UserError, match="bare: has stored no averages to choose from. Train with --ema-widths 0.05 0.1"
    ):
        jaxgen.sample("bare", ema_width=0.1)
    assert not Path("bare/snapshots").exists() and jaxgen.load("bare").state.widths == {}


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("words, message", [
    (["--ema-warmup"], "ema_warmup: there is no average. Give its decay, --ema."),
    (["--ema-widths", "0.05", "0.3"], "width of an average: expected more than 0 and at most 0.28, got 0.3."),
    (["--snapshot-every", "5"], "snapshot_every: there is nothing to store. Give --ema-widths."),
    (["--ema-widths", "0.1", "--snapshot-every", "0"], "snapshot_every: expected at least 1, got 0."),
])  # fmt: skip
def test_bad_options_are_one_line(words, message, capsys):
    assert command("train", "vae", "--data", "digits", "--recipe", "digits", "--ema", 0, *words) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not Path("runs").exists()
