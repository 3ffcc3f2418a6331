"""Is the port right? One comparison in float64, level by level, the same for every family."""

import inspect
from functools import partial

import jax

from jaxgen import core
from jaxgen.errors import needs
from jaxgen.parity import pairs, taps
from jaxgen.parity.compare import UPDATE, Row, compare, largest

STEPS = 3


class Result(list):
    """The rows of a case; true only if there are some and every level holds."""

    def __init__(self, case, rows):
        super().__init__(rows)
        self.case = str(case)

    @property
    def ok(self):
        return bool(self) and all(row.ok for row in self)

    def __str__(self):
        return "\n".join([self.case, *(f"  {row}" for row in self)])


def verify(case):
    """-> Result: names, every layer's output, losses, gradients, steps, statistics, averages and samples."""
    with jax.enable_x64(True):
        return Result(case, levels(case))


def levels(case):
    yield signatures(case)
    family, twin = pairs.build(case)
    txs, batches = family.optimizers(lr=pairs.LR), pairs.batches(family, STEPS)
    state = pairs.start(family, txs)
    names = compare_names(pairs.state_dict(state.params, state.stats), pairs.arrays(twin.state_dict()))
    yield names
    if not names.ok:
        return
    pairs.give(twin, state.params, state.stats)
    batch, draws = pairs.at(batches, 0), family.draw(jax.random.key(0), pairs.at(batches, 0))
    yield compare_outputs(family, twin, state, batch, draws)
    yield from compare_players(family, twin, state, batch, draws)
    pairs.give(twin, state.params, state.stats)
    yield from compare_steps(family, twin, txs, state, batches)


def public(module):
    return {key: value for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}


def signatures(case):
    """The same definitions with the same arguments, and the same declarations."""
    ours, theirs = (inspect.getmodule(cls) for cls in (case.ours, case.theirs))
    arguments = lambda x: str(inspect.signature(x.__init__ if inspect.isclass(x) else x))
    here, there = ({key: arguments(x) for key, x in public(m).items() if callable(x)} for m in (ours, theirs))
    odd = [key for key in here.keys() | there.keys() if here.get(key) != there.get(key)]
    declared = lambda cls, key: getattr(cls, key, None)
    fixed = [
        key
        for key in ("players", "simultaneous", "images", "small")
        if not isinstance(declared(case.ours, key), property)
    ]
    odd += [key for key in fixed if declared(case.ours, key) != declared(case.theirs, key)]
    return Row("signatures", float(len(odd)), 0.0, ", ".join(sorted(odd)), len(here) + len(fixed))


def compare_names(have, want):
    """Keys, shapes and dtypes of the weights."""
    kind = lambda x: (x.dtype.name, x.shape)
    odd = [
        key
        for key in have.keys() | want.keys()
        if key not in have or key not in want or kind(have[key]) != kind(want[key])
    ]
    return Row("names", float(len(odd)), 0.0, ", ".join(sorted(odd)[:5]), len(want))


def compare_outputs(family, twin, state, batch, draws):
    """What every layer returns in every player's loss, in training; of several layers that differ, the first."""
    torch = needs("torch", "verify")

    @jax.jit
    def outputs(params, stats, batch, draws):
        with taps.ours(family) as tapped:
            for player in family.players:
                family.loss(player, params, stats, core.share(family, batch, 0), core.share(family, draws, 0))
        return tapped

    have = outputs(state.params, state.stats, batch, draws)
    torch_core = needs("torch_ref.core", "verify")
    shared = [torch_core.share(x, 0, core.shares(family)) for x in pairs.to_torch(family, (batch, draws))]
    with torch.no_grad(), taps.theirs(twin.train()) as tapped:
        for player in family.players:
            with torch_core.dropout(twin, shared[1]["masks"][player]):
                getattr(twin, f"{player}_loss")(*shared)
    want = {path: [pairs.from_torch(x) for x in outputs] for path, outputs in tapped.items()}
    return first_worst(numbered(have), numbered(want))


def numbered(outputs):
    return {f"{path} (call {i + 1})": x for path, calls in outputs.items() for i, x in enumerate(calls)}


def first_worst(have, want):
    """Round-off grows from layer to layer and so does a fault: the first layer beyond the gate is the one to look at."""
    if have.keys() != want.keys():
        return compare("outputs", have, want)
    rows = [compare("outputs", {key: have[key]}, {key: want[key]}) for key in want]
    shown = next((row for row in rows if not row.ok), max(rows, key=lambda row: row.error))
    return shown._replace(compared=len(rows))


def compare_players(family, twin, state, batch, draws):
    """Each player's loss and gradients on its first share."""
    torch_core = needs("torch_ref.core", "verify")
    metrics, grads, there, wanted = {}, {}, {}, {}
    mine = core.share(family, batch, 0), core.share(family, draws, 0)
    for name, player in family.players.items():

        def loss(trained, name=name):
            return family.loss(name, {**state.params, **trained}, state.stats, *mine)

        got, (told, _) = jax.jit(jax.grad(loss, has_aux=True))(core.pick(state.params, player.trains))
        metrics |= {f"{name}: {key}": x for key, x in told.items()}
        grads |= {f"{name}: {key}": x for key, x in pairs.state_dict(got, {}).items()}
        pairs.give(twin, state.params, state.stats)
        told, got = torch_core.gradients(twin.train(), name, *pairs.to_torch(family, mine))
        there |= {f"{name}: {key}": x for key, x in pairs.arrays(told).items()}
        wanted |= {f"{name}: {key}": x for key, x in pairs.arrays(got).items()}
    yield compare("losses", metrics, there)
    # a bias before BatchNorm has a gradient that is zero but for round-off: no scale of its own
    yield compare("gradients", grads, wanted, floor=1e-4 * largest(wanted))


def compare_steps(family, twin, txs, state, batches):
    """Optimiser steps: after each of them metrics, weights, statistics and averages; after the last, samples."""
    torch_core = needs("torch_ref.core", "verify")
    update, optimizers = pairs.updates(family, txs), twin.optimizers(lr=pairs.LR)
    average, rows = torch_core.snapshot(twin), []
    for i in range(batches[next(iter(batches))].shape[0]):
        batch = pairs.at(batches, i)
        draws = family.draw(jax.random.key(i), batch)
        state, have = update(state, batch, draws)
        want = torch_core.update(twin.train(), optimizers, *pairs.to_torch(family, (batch, draws)))
        average = torch_core.average(average, twin)
        rows += [compare("metrics", have, pairs.arrays(want)), *compare_state(state, twin, average)]
    for level in dict.fromkeys(row.level for row in rows):
        yield max((row for row in rows if row.level == level), key=lambda row: row.error)
    yield compare_samples(family, twin, state)


def compare_state(state, twin, average):
    learned = {key for key, _ in twin.named_parameters()}
    part = lambda tree, wanted: {key: value for key, value in tree.items() if (key in learned) == wanted}
    have, want = pairs.state_dict(state.params, state.stats), pairs.arrays(twin.state_dict())
    yield compare("weights", part(have, True), part(want, True), UPDATE, scale=pairs.LR)
    yield compare("statistics", part(have, False), part(want, False))
    have, want = pairs.state_dict(state.ema["params"], state.ema["stats"]), pairs.arrays(average)
    yield compare("averages", part(have, True), part(want, True), UPDATE, scale=pairs.LR)
    yield compare("averages", part(have, False), part(want, False))


def compare_samples(family, twin, state):
    """In evaluation, from the same noise; sampling moves nothing."""
    torch = needs("torch", "verify")
    draws = family.draw_sample(jax.random.key(7), 4)
    have = jax.jit(family.sample)(state.params, state.stats, draws)
    before = pairs.arrays(twin.state_dict())
    with torch.no_grad():
        want = pairs.from_torch(twin.eval().sample(pairs.to_torch(family, draws)))
    moved = compare("samples", before, pairs.arrays(twin.state_dict()), gate=0.0)
    row = compare("samples", {"image": have}, {"image": want})
    return row if moved.ok else moved
