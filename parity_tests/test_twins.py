"""No family has a test of its own: each is found by name in both packages and compared at every level."""

import importlib
import pkgutil

import jax
import numpy as np
import pytest
from cases import CASES, FIRST
from names import ALIKE, HEAVY, NAMES, small

import torch_ref.documented
from jaxgen import find, parity, weights
from jaxgen.parity import pairs
from jaxgen.parity.compare import LEVELS, UPDATE, compare

LONG = 60  # steps; `jaxgen verify` takes 300
SOME = ("outputs", "losses", "gradients", "weights", "statistics", "samples")
LOOPS = [module.name for module in pkgutil.iter_modules(torch_ref.documented.__path__)]


def marked(case):
    heavy = case.name in (*HEAVY, *ALIKE, "dcgan", "projection_gan")
    first = [FIRST[name] for name in ("ddpm", "dcgan", "projection_gan")]
    quick = not heavy or case in first or (case.samples_alone and case.name == "ddpm")
    return case if quick else pytest.param(case, marks=pytest.mark.slow)


@pytest.mark.parametrize("case", [marked(case) for case in CASES], ids=str)
def test_twins(case):
    """At every level, the first case of a family; the others where their further value can be seen. All levels of all
    cases: `jaxgen verify`, and the marked suite."""
    only = tuple(LEVELS) if case is FIRST[case.name] else ("samples",) if case.samples_alone else SOME
    result = parity.verify(case, trajectory=LONG, only=only)
    result.assert_ok()
    assert {row.level for row in result} == {"signatures", "names", *only}


@pytest.mark.parametrize(
    "name", [pytest.param(x, marks=pytest.mark.slow) if x in (*HEAVY, *ALIKE) else x for x in LOOPS]
)
def test_documented_loop(name):
    """The printed loop on the bare nets gives the weights and statistics that the family's steps give."""
    loop = importlib.import_module(f"torch_ref.documented.{name}")
    cls = find.family(loop.family)
    family, twin = parity.Case(loop.family, cls.small | loop.matches, cls, find.twin(loop.family)).build()
    txs, batches, rate = family.optimizers(**getattr(loop, "rates", {})), pairs.batches(family, 3), loop_rate(loop)
    state = pairs.start(family, txs)
    pairs.give(twin, state.params, state.stats)
    update, fed = pairs.updates(family, txs), []
    for i in range(3):
        batch = pairs.at(batches, i)
        draws = family.draw(jax.random.key(i), batch)
        state, _ = update(state, batch, draws)
        fed.append(loop.arguments(*pairs.to_torch(family, (batch, draws))))
    loop.train(twin, fed)
    have, want = weights.to_state_dict(state.params, state.stats), pairs.arrays(twin.state_dict())
    learned = {key for key, _ in twin.named_parameters()}
    part = lambda tree, wanted: {key: value for key, value in tree.items() if (key in learned) == wanted}
    rows = [
        compare("weights", part(have, True), part(want, True), UPDATE, scale=rate),
        compare("statistics", part(have, False), part(want, False)),
    ]
    assert all(row.ok for row in rows), rows


def loop_rate(loop):
    return loop.train.__defaults__[0]


@pytest.mark.parametrize("name", NAMES, ids=find.label)
def test_samples_do_not_depend_on_how_many_are_drawn(name):
    family = small(name)
    few, more = (family.draw_sample(jax.random.key(7), count) for count in (4, 6))
    later = family.draw_sample(jax.random.key(7), 2, first=4)
    jax.tree.map(lambda a, b, c: np.testing.assert_array_equal(np.concatenate([a, c]), b), few, more, later)
