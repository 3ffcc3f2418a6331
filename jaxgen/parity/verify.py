"""Is the port right? One comparison in float64, level by level, the same for every family."""

import inspect

import jax
import numpy as np

from jaxgen import core
from jaxgen.errors import needs
from jaxgen.parity import pairs, taps
from jaxgen.parity.compare import UPDATE, Row, compare, described, largest, noisy
from jaxgen.parity.pairs import Case
from jaxgen.weights import to_state_dict

STEPS = 3


class Result(list):
    """The rows of a case; true only if there are some and every level holds."""

    def __init__(self, case, rows):
        super().__init__(rows)
        self.case = case

    @property
    def ok(self):
        return bool(self) and all(row.ok for row in self)

    def __str__(self):
        return "\n".join([str(self.case), *(f"  {row}" for row in self)])


def verify(case: Case, steps: int = STEPS) -> Result:
    """-> Result: names, every layer's output, losses, gradients, steps, statistics, averages and samples."""
    with jax.enable_x64(True):
        return Result(case, levels(case, steps))


def levels(case, steps):
    family, twin = pairs.build(case)
    yield signatures(case, family, twin)
    txs, batches = family.optimizers(lr=pairs.LR), pairs.batches(family, steps)
    state = pairs.start(family, txs)
    names = compare_names(to_state_dict(state.params, state.stats), pairs.arrays(twin.state_dict()))
    yield names
    if not names.ok:
        return
    pairs.give(twin, state.params, state.stats)
    batch, draws = pairs.at(batches, 0), family.draw(jax.random.key(0), pairs.at(batches, 0))
    yield from compare_players(family, twin, state, batch, draws)
    pairs.give(twin, state.params, state.stats)
    yield from compare_steps(family, twin, txs, state, batches)


def public(module):
    return {key: value for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}


def signatures(case, family, twin):
    """The same definitions with the same arguments, and the same declarations."""
    ours, theirs = (inspect.getmodule(cls) for cls in (case.ours, case.theirs))
    arguments = lambda x: str(inspect.signature(x.__init__ if inspect.isclass(x) else x))
    here, there = ({key: arguments(x) for key, x in public(m).items() if callable(x)} for m in (ours, theirs))
    here, there = (
        {**x, "optimizers": arguments(cls.optimizers)} for x, cls in ((here, case.ours), (there, case.theirs))
    )
    odd = [key for key in here.keys() | there.keys() if here.get(key) != there.get(key)]
    declared = ("players", "simultaneous", "images", "small")
    odd += [key for key in declared if getattr(family, key, None) != getattr(twin, key, None)]
    return Row("signatures", float(len(odd)), 0.0, ", ".join(sorted(odd)), len(here) + len(declared))


def compare_names(have, want):
    """Keys, shapes and dtypes of the weights."""
    kind = lambda x: (x.dtype.name, x.shape)
    odd = [
        key
        for key in have.keys() | want.keys()
        if key not in have or key not in want or kind(have[key]) != kind(want[key])
    ]
    return Row("names", float(len(odd)), 0.0, ", ".join(sorted(odd)[:5]), len(want))


def compare_players(family, twin, state, batch, draws):
    """Each player's turn on its first share, in training: what every layer returns, the loss, the gradients."""
    mine, rows = tuple(core.share(family, x, 0) for x in (batch, draws)), []
    for name in family.players:
        ours, theirs = our_turn(family, name, state, mine), their_turn(family, name, twin, state, mine)
        gradients = theirs["gradients"]
        rows += [
            first_worst(ours["outputs"], theirs["outputs"]),
            compare("losses", ours["losses"], theirs["losses"]),
            # a bias before BatchNorm has a gradient that is zero but for round-off: no scale of its own
            compare("gradients", ours["gradients"], gradients, floor=1e-4 * largest(gradients)),
        ]
        rows[-3:] = [row._replace(where=f"{name}: {row.where}") for row in rows[-3:]]
    yield from worst_of(rows)


def our_turn(family, name, state, mine):
    @jax.jit
    def turn(trained, state, batch, draws):
        loss = lambda trained: family.loss(name, {**state.params, **trained}, state.stats, batch, draws)
        return jax.grad(loss, has_aux=True)(trained)

    with taps.ours(family) as outputs:
        grads, (metrics, _) = turn(core.pick(state.params, family.players[name].trains), state, *mine)
    return {"outputs": numbered(outputs), "losses": metrics, "gradients": to_state_dict(grads, {})}


def their_turn(family, name, twin, state, mine):
    pairs.give(twin, state.params, state.stats)
    with taps.theirs(twin.train()) as outputs:
        metrics, grads = needs("torch_ref.core", "verify").gradients(twin, name, *pairs.to_torch(family, mine))
    outputs = {path: [pairs.from_torch(x) for x in calls] for path, calls in outputs.items()}
    return {"outputs": numbered(outputs), "losses": pairs.arrays(metrics), "gradients": pairs.arrays(grads)}


def worst_of(rows):
    """Of each level the row that fails first, else the one with the largest error."""
    for level in dict.fromkeys(row.level for row in rows):
        same = [row for row in rows if row.level == level]
        worst = next((row for row in same if not row.ok), max(same, key=lambda row: row.error / (row.gate or 1)))
        yield worst._replace(compared=sum(row.compared for row in same))


def numbered(outputs):
    return {f"{path} (call {i + 1})": x for path, calls in outputs.items() for i, x in enumerate(calls)}


def first_worst(have, want):
    """A fault is inherited by all layers behind it: the first layer beyond the gate is the one to look at."""
    if have.keys() != want.keys():
        return compare("outputs", have, want)
    rows = [compare("outputs", {key: have[key]}, {key: want[key]}) for key in want]
    shown = next((row for row in rows if not row.ok), max(rows, key=lambda row: row.error))
    return shown._replace(compared=len(rows))


def compare_steps(family, twin, txs, state, batches):
    """Optimiser steps: after each of them metrics, weights, statistics and averages; after the last, samples."""
    torch_core = needs("torch_ref.core", "verify")
    update, optimizers = pairs.updates(family, txs), twin.optimizers(lr=pairs.LR)
    average, noise, rows = torch_core.snapshot(twin), watched(twin, optimizers), []
    for i in range(batches[next(iter(batches))].shape[0]):
        batch = pairs.at(batches, i)
        draws = family.draw(jax.random.key(i), batch)
        state, have = update(state, batch, draws)
        want = torch_core.update(twin.train(), optimizers, *pairs.to_torch(family, (batch, draws)))
        average = torch_core.average(average, twin)
        rows += [compare("metrics", have, pairs.arrays(want)), *compare_state(state, twin, average, noise)]
    yield from worst_of(rows)
    yield compare_samples(family, twin, state)


def watched(twin, optimizers):
    """{weight: where a step met a gradient that is but noise}, filled in as the optimisers step."""
    names, noise = {id(value): key for key, value in twin.named_parameters()}, {}

    def look(optimizer, *rest):
        weights = [value for group in optimizer.param_groups for value in group["params"] if value.grad is not None]
        for key, mask in noisy({names[id(value)]: value.grad.numpy() for value in weights}).items():
            noise[key] = noise.get(key, False) | mask

    for optimizer in optimizers.values():
        optimizer.register_step_pre_hook(look)
    return noise


def compare_state(state, twin, average, noise):
    learned = {key for key, _ in twin.named_parameters()}
    kept = learned - {key for key, mask in noise.items() if mask.all()}

    def both(have, want, weights, statistics):
        have, want = to_state_dict(**have), pairs.arrays(want)
        have |= {key: np.where(mask, want[key], have[key]) for key, mask in noise.items()}
        some = lambda tree, keys: {key: x for key, x in tree.items() if key in keys}
        rest = (have.keys() | want.keys()) - learned
        row = compare(weights, some(have, kept), some(want, kept), UPDATE, scale=pairs.LR)
        return row._replace(left_out=described(noise)), compare(statistics, some(have, rest), some(want, rest))

    yield from both({"params": state.params, "stats": state.stats}, twin.state_dict(), "weights", "statistics")
    yield from both(state.ema, average, "averages", "averages")


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
