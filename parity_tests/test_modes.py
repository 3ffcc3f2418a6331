"""Modes are counted as the papers count them, and many seeds in one program are the runs alone."""

import json
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from test_scripts import ROOT, run

from jaxgen import bench_modes, find, modes, parallel
from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.statistics import half_width

BOTH = pytest.mark.parametrize("data", [modes.ring, modes.grid], ids=["ring", "grid"])


LOOK = jax.jit(modes.coverage)


def counted(points, data):
    return [float(x) for x in LOOK(np.asarray(points, np.float64), *data)]


def test_the_two_mixtures():
    """As the papers print them: places, sizes, and a plane that a Tanh reaches."""
    assert modes.ring.centres.shape == (8, 2) and modes.grid.centres.shape == (25, 2)
    np.testing.assert_allclose(np.hypot(*modes.ring.centres.T), 2.0)
    apart = np.linalg.norm(modes.ring.centres - np.roll(modes.ring.centres, 1, 0), axis=1)
    np.testing.assert_allclose(apart, 4 * np.sin(np.pi / 8))
    assert {tuple(x) for x in modes.grid.centres} == {(i, j) for i in range(-4, 5, 2) for j in range(-4, 5, 2)}
    assert (modes.ring.sigma, modes.grid.sigma, modes.ring.scale, modes.grid.scale) == (0.02, 0.05, 2.5, 5.0)


@BOTH
def test_all_modes_and_one(data):
    """The centres themselves; a generator that has collapsed to one mode; to two, unevenly."""
    count = len(data.centres)
    assert counted(np.repeat(data.centres, 4, 0), data) == pytest.approx([count, 1, 0], abs=1e-12)
    assert counted(np.repeat(data.centres[3:4], 100, 0), data) == pytest.approx([1, 1, np.log(count)])
    two = data.centres[np.repeat([0, 1], [75, 25])]
    kl = 0.75 * np.log(0.75 * count) + 0.25 * np.log(0.25 * count)
    assert counted(two, data) == pytest.approx([2, 1, kl])


@BOTH
def test_what_is_not_of_high_quality_finds_nothing(data):
    """Though each mode is the nearest of as many points; nor does what is no number."""
    beside = np.repeat(data.centres + [3.001 * data.sigma, 0], 2, 0)
    assert counted(beside, data) == pytest.approx([0, 0, 0], abs=1e-12)
    half = np.concatenate([data.centres, data.centres + 5 * data.sigma])
    assert counted(half, data) == pytest.approx([len(data.centres), 0.5, 0], abs=1e-12)
    assert counted(np.full((50, 2), np.nan), data)[:2] == [0, 0]


def test_the_boundary_is_within():
    """Three standard deviations are, in any direction, in numbers that have no round-off; what is more is not."""
    data = modes.Modes(np.array([[0.0, 0.0], [64.0, 0.0]]), 5.0)
    assert counted([[15.0, 0.0], [9.0, 12.0], [64.0, -15.0]], data)[:2] == [2, 1]
    more = 15 + 2.0**-40
    assert counted([[more, 0.0], [0.0, -more], [64.0 - more, 0.0]], data)[:2] == [0, 0]
    assert counted([[32.0, 0.0]], data)[:2] == [0, 0]


@BOTH
def test_samples_of_the_data(data):
    """All modes, evenly, 1 - exp(-9 / 2) of them within three standard deviations; the collapse of seed 1 is told."""
    draw = jax.jit(jax.vmap(lambda key: data.sample(key, 20_000)))
    made = np.array(draw(jax.random.split(jax.random.key(0), 3)))
    made[1] = data.centres[5] + (made[1] - data.centres[np.abs(made[1][:, None] - data.centres).sum(-1).argmin(1)])
    found, quality, kl = jax.jit(jax.vmap(lambda x: modes.coverage(x, *data)))(made)
    assert found.tolist() == [len(data.centres), 1, len(data.centres)]
    np.testing.assert_allclose(quality, 1 - np.exp(-4.5), atol=4 * np.sqrt(0.011 / 20_000))
    assert kl[1] == pytest.approx(np.log(len(data.centres))) and max(kl[0], kl[2]) < 2 * len(data.centres) / 20_000
    assert np.abs(made).max() < data.scale


@pytest.mark.slow
def test_seeds_in_one_program_are_runs_alone():
    """Started, drawn, stepped and sampled, five turns and a penalty a step; no two seeds are the same."""
    same = partial(np.testing.assert_allclose, rtol=0, atol=1e-9)
    family, data = Functional(find.family("mlp_gan")(1, 2, 2, (8,), "wasserstein_gp")), modes.ring
    txs, roots = family.optimizers(lr=pairs.LR), bench_modes.keys(3)
    start, look = partial(bench_modes.start, family, txs), partial(bench_modes.points, family, data)
    many = parallel.many(partial(bench_modes.step, family, txs, data, 8))
    together, metrics = parallel.jit(parallel.seeds(many))(jax.jit(jax.vmap(start))(roots), jnp.arange(3), roots)
    made = jax.jit(jax.vmap(look))(together, roots)
    alone, run, see = jax.jit(start), parallel.jit(many), jax.jit(look)
    for seed in (0, 2):
        state, told = run(alone(jax.random.key(seed)), jnp.arange(3), jax.random.key(seed))
        jax.tree.map(same, pairs.at(together, seed), state)
        jax.tree.map(same, pairs.at(metrics, seed), told)
        same(made[seed], see(state, jax.random.key(seed)))
    assert np.abs(made[0] - made[1]).max() > 0.01


def test_even_dust():
    """Of so many points as many modes as chance has it: each is missed by all of them with exp(-N pi (3 sigma)^2 /
    area)."""
    for name, data in bench_modes.DATA.items():
        dust, share = bench_modes.bound("even dust", name, 64), np.pi * (3 * data.sigma / (2 * data.scale)) ** 2
        count = len(data.centres)
        assert np.mean(dust["quality"]) == pytest.approx(count * share, rel=0.1)
        assert np.mean(dust["found"]) == pytest.approx(count * (1 - np.exp(-2500 * share)), rel=0.05)


def test_interval():
    """Of the numbers 1, 2, 3: t(0.975, 2) = 4.30265, and the deviation of the mean is 1 / sqrt(3)."""
    assert half_width([1, 2, 3]) == pytest.approx((2.0, 4.302653 / 3**0.5))
    assert bench_modes.told({"quality": [0.1, 0.2, 0.3]}, "quality") == "20.0 ± 24.8"


@pytest.mark.slow
def test_the_script(tmp_path):
    out, plot = tmp_path / "modes.json", tmp_path / "modes.png"
    few = "--seeds 2 --steps 3 --objectives hinge --hidden 8 --batch 8".split()
    told = run(sys.executable, ROOT / "scripts" / "modes.py", *few, "--out", out, "--plot", plot)
    assert "hinge" in told and "the data" in told
    written = json.loads(Path(out).read_text())
    assert written["about"].keys() >= {"commit", "device", "jax", "command", "steps"}
    assert [(row["objective"], row["data"]) for row in written["results"][4:]] == [("hinge", "ring"), ("hinge", "grid")]
    assert all(len(row[key]) == 2 for row in written["results"] for key in ("found", "quality", "kl"))
    assert written["results"][0]["found"] == [8, 8] and written["results"][1]["found"] == [25, 25]
    with Image.open(plot) as picture:
        assert picture.height == 370
