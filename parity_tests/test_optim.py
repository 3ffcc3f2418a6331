"""Clipping, schedules, weight decay and accumulated gradients against torch's own, and how they meet the players."""

import inspect
import math
import types
from functools import cache, partial

import jax
import numpy as np
import optax
import pytest
import torch
from cases import FIRST
from layer_pairs import QUICK
from names import ALIKE, HEAVY, NAMES, small
from test_parallel import assert_same_state, loop

from jaxgen import core, find, optim, parallel
from jaxgen.core import Player
from jaxgen.errors import UserError
from jaxgen.parity import pairs, steps
from jaxgen.parity.compare import compare
from torch_ref import core as torch_core
from torch_ref import optim as torch_optim

STEPS = 9
SCHEDULES = ("constant", "linear", "cosine")
TOY = NAMES[-2]  # batch norms, dropout, two nets under one loss, players at once
AROUND = dict(clip=0.05, schedule="cosine", warmup=2, steps=5)


@pytest.mark.parametrize("warmup", [0, 1, 4])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedule_is_torchs(schedule, warmup):
    """The chain of torch's schedulers, and the equation of the docstring under torch's LambdaLR."""
    curve = jax.jit(optim.factor(schedule, warmup, STEPS))
    have = np.array([curve(t) for t in range(STEPS + 1)])
    for scheduler in (torch_optim.scheduler(sgd(), schedule, warmup, STEPS), written(schedule, warmup)):
        want = []
        for _ in range(STEPS + 1):
            want.append(scheduler.get_last_lr()[0])
            scheduler.optimizer.step()
            scheduler.step()
        np.testing.assert_allclose(have, want, rtol=0, atol=1e-14)
    assert 0 < have[0] and have[warmup] == 1 == have.max() and (schedule == "constant" or have[-1] < 1e-15 < have[-2])
    assert curve(STEPS + 7) == have[STEPS]


def sgd():
    return torch.optim.SGD([torch.zeros((), dtype=float)], 1.0)


def written(schedule, warmup):
    def factor(t):
        if t < warmup:
            return (t + 1) / (warmup + 1)
        u = min(1, (t - warmup) / (STEPS - warmup))
        return {"constant": 1, "linear": 1 - u, "cosine": (1 + math.cos(math.pi * u)) / 2}[schedule]

    return torch.optim.lr_scheduler.LambdaLR(sgd(), factor)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("linear", 5, 5), "a warm-up of 5 steps leaves none of 5 to decay in"),
        (("cosine",), "leaves none of 0"),
        (("constant", -1), "warmup: expected at least 0 steps, got -1"),
        (("cosin", 0, 5), "unknown schedule 'cosin'. There are constant, linear, cosine"),
    ],
)
def test_schedules_refuse(arguments, message):
    with pytest.raises(UserError, match=message):
        optim.factor(*arguments)
    with pytest.raises(UserError, match="clip: expected a norm, or 0 for none, got -1"):
        optim.build(None, {}, clip=-1)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-3, 0.9, 1.1, 1e6])
def test_clipping_is_torchs(size):
    """To the last digits, where optax's own clipping is seen to differ."""
    random = np.random.default_rng(0)
    grads = {"a": random.normal(size=(3, 2)), "b": {"c": random.normal(size=4)}}
    grads = jax.tree.map(lambda g: size * g / optax.tree.norm(grads), grads)
    clipped = lambda tx: jax.tree.leaves(tx.update(grads, tx.init(grads))[0])
    tensors = [torch.zeros(g.shape, dtype=float, requires_grad=True) for g in jax.tree.leaves(grads)]
    for x, g in zip(tensors, jax.tree.leaves(grads), strict=True):
        x.grad = torch.from_numpy(np.array(g))
    torch.nn.utils.clip_grad_norm_(tensors, 1.0)
    error = lambda tx: max(
        float(np.abs(np.asarray(g) - x.grad.numpy()).max()) for g, x in zip(clipped(tx), tensors, strict=True)
    )
    assert error(optim.clip_grad_norm(1.0)) <= 1e-15 * max(1.0, size)
    assert size < 1 or error(optax.clip_by_global_norm(1.0)) > 1e-13


def test_nothing_asked_for_changes_nothing():
    """So that checkpoints made before go on."""
    for name in NAMES:
        family = small(name)
        txs = family.optimizers(lr=pairs.LR)
        assert all(tx is txs[player] for player, tx in optim.build(family, txs, steps=10).items())


def compared(case, length=3, accumulate=1, blind=False, **around):
    """Rows of our steps beside torch's, with everything that can stand around an optimiser; `blind` to how often a
    player plays."""
    family, twin = case.build()
    rates = dict(lr=pairs.LR) | ({"weight_decay": 5.0} if "weight_decay" in decays(case) and around else {})
    players = types.SimpleNamespace(players=dict.fromkeys(family.players, Player(()))) if blind else family
    txs, optimizers = optim.build(players, family.optimizers(**rates), **around), twin.optimizers(**rates)
    state, batches = pairs.start(family, txs), pairs.batches(family, length)
    pairs.give(twin, state.params, state.stats)
    schedulers = []
    if around:
        torch_optim.clip(optimizers, around["clip"])
        plan = [around[key] for key in ("schedule", "warmup", "steps")]
        schedulers = [torch_optim.scheduler(optimizer, *plan) for optimizer in optimizers.values()]
    average, noise, rows = torch_core.snapshot(twin), steps.watched(twin, optimizers), []
    update = jax.jit(partial(core.update, family, txs, accumulate=accumulate), compiler_options=QUICK)
    for i in range(length):
        batch = pairs.at(batches, i)
        draws = family.draw(jax.random.key(i), batch)
        state, have = update(state, batch, draws)
        want = torch_core.update(twin.train(), optimizers, *pairs.to_torch(family, (batch, draws)), accumulate)
        average = torch_core.average(average, twin)
        for scheduler in schedulers:
            scheduler.step()
        metrics = compare("metrics", have, pairs.arrays(want))
        rows += [metrics, *steps.compare_state(types.SimpleNamespace(twin=twin, family=family), state, average, noise)]
    return rows


def decays(case):
    return inspect.signature(case.ours.optimizers).parameters


LIGHT = [x for x in FIRST.values() if x.name not in HEAVY]


@pytest.mark.parametrize(
    "case", [pytest.param(x, marks=pytest.mark.slow) if x.name in ALIKE else x for x in LIGHT], ids=str
)
def test_steps_with_everything_around(case):
    """Clipped, warmed up, decayed both ways, by a player who plays often as by one who plays once."""
    rows = compared(case, length=5, **AROUND)
    assert all(row.ok for row in rows), rows
    if any(player.times > 1 for player in case.build()[0].players.values()):
        assert not all(row.ok for row in compared(case, length=5, blind=True, **AROUND)), "the count is a player's own"


@pytest.mark.parametrize("accumulate", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", LIGHT, ids=str)
def test_accumulated_steps_are_torchs(case, accumulate):
    rows = compared(case, accumulate=accumulate)
    assert all(row.ok for row in rows), rows


def summed(monkeypatch):
    """Not a mean, in torch's loop."""
    right = torch_core.backward
    monkeypatch.setattr(torch_core, "backward", lambda *args: right(*args[:4]))


def moved_once(monkeypatch):
    """Running statistics of the batch as a whole."""
    right = core.gradients
    once = lambda *args: (*right(*args)[:2], right(*args[:5])[2])
    monkeypatch.setattr(core, "gradients", once)


@pytest.mark.parametrize("fault, level", [(summed, "weights"), (moved_once, "statistics")])
def test_accumulation_faults_are_found(monkeypatch, fault, level):
    fault(monkeypatch)
    rows = compared(FIRST[TOY], accumulate=2)
    assert not all(row.ok for row in rows if row.level == level), rows


@cache
def accumulated(name):
    """-> step, start, batches and what plain jit makes of them in two micro-batches."""
    family = small(name)
    txs, batches = family.optimizers(lr=pairs.LR), pairs.batches(family, 3)
    step = partial(core.step, family, txs, accumulate=2)
    start = jax.jit(partial(core.init, family, txs, jax.random.key(3), averaged=True))
    return step, start, batches, loop(parallel.jit(step), start(), batches, jax.random.key(5))


@pytest.mark.parametrize("way", ["sharded", pytest.param("pmap", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", [TOY, *(pytest.param(x, marks=pytest.mark.slow) for x in NAMES if x != TOY)], ids=find.label
)
def test_accumulated_steps_on_several_devices(name, way):
    """A micro-batch is strided, so it is the same rows of each device however many there are: batch norms too."""
    step, start, batches, (want, told) = accumulated(name)
    have, metrics = loop(getattr(parallel, way)(step), start(), batches, jax.random.key(5))
    row = compare("metrics", metrics, told)
    assert row.ok, row
    assert_same_state(have, want)


def test_micro_batches_are_strided():
    np.testing.assert_array_equal(core.micro_batches(np.arange(6), 3), [[0, 3], [1, 4], [2, 5]])
    with pytest.raises(UserError, match="accumulate 4: a turn has 6 rows on a device"):
        core.micro_batches(np.arange(6), 4)


def test_memory_is_that_of_a_micro_batch():
    family, key = small(TOY), jax.random.key(0)
    txs = family.optimizers()
    batch = {name: jax.ShapeDtypeStruct(x.shape, float) for name, x in family.inputs(64).items()}
    state, draws = jax.eval_shape(lambda: (core.init(family, txs, key), family.draw(key, batch)))

    def scratch(accumulate):
        update = jax.jit(partial(core.update, family, txs, accumulate=accumulate))
        return update.lower(state, batch, draws).compile().memory_analysis().temp_size_in_bytes

    assert scratch(8) < 0.4 * scratch(1), (scratch(8), scratch(1))
