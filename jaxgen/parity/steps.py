"""Optimiser steps: after each of the first ones everything is compared, then the losses of a long run, then samples."""

import jax
import numpy as np
import optax

from jaxgen.errors import needs
from jaxgen.parity import pairs, sides
from jaxgen.parity.compare import UPDATE, compare, described, largest, merged, noisy
from jaxgen.weights import to_state_dict

SLOTS = {"mu": ("exp_avg",), "nu": ("exp_avg_sq", "square_avg"), "trace": ("momentum_buffer",)}


def compare_steps(setting, count, trajectory):
    torch_core = needs("torch_ref.core", "verify")
    setting.give()
    family, twin, state = setting.family, setting.twin, setting.state
    update, optimizers = setting.update, twin.optimizers(lr=pairs.LR)
    average, noise, rows, losses = torch_core.snapshot(twin), watched(twin, optimizers), [], []
    for i in range(max(count, trajectory)):
        batch, draws = setting.step(i)
        state, have = update(state, batch, draws)
        want = torch_core.update(twin.train(), optimizers, *pairs.to_torch(family, (batch, draws)))
        losses.append((pairs.plain(have), pairs.arrays(want)))
        if i < count:
            average = torch_core.average(average, twin)
            told = [compare("metrics", *losses[-1]), compare_optimizers(state.opt, twin, optimizers)]
            rows += [(f"step {i + 1}", row) for row in [*told, *compare_state(setting, state, average, noise)]]
        if i == count - 1 and hasattr(family, "sample"):
            rows.append(("", compare_samples(setting, state)))
    yield from merged(rows)
    if trajectory:
        yield compare_trajectory(setting, losses)


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


def compare_state(setting, state, average, noise):
    twin, dropped = setting.twin, getattr(setting.family, "dropped", {})
    learned = {key for key, _ in twin.named_parameters()}
    yield from state_rows(state, pairs.arrays(twin.state_dict()), pairs.arrays(average), noise, learned, dropped)


def state_rows(state, now, averages, noise, learned, dropped=()):
    """Weights and their averages in units of the learning rate; where a gradient was but noise, PyTorch's are taken."""
    kept = learned - {key for key, mask in noise.items() if mask.all()}

    def both(trees, true, weights, statistics):
        have = to_state_dict(**trees)
        have |= {key: np.where(mask, true[key], have[key]) for key, mask in noise.items()}
        some = lambda tree, keys: {key: x for key, x in tree.items() if key in keys}
        rest = (have.keys() | true.keys()) - learned - set(dropped)
        why = described(noise) if weights == "weights" else {}
        yield compare(weights, some(have, kept), some(true, kept), UPDATE, scale=pairs.LR, left_out=why)
        yield compare(statistics, some(have, rest), some(true, rest))

    yield from both({"params": state.params, "stats": state.stats}, now, "weights", "statistics")
    yield from both(state.ema, averages, "averages", "averages")


def compare_optimizers(opt, twin, optimizers):
    """The running averages that both kinds of optimisers keep."""
    want = {}
    names = {value: key for key, value in twin.named_parameters()}
    for player, optimizer in optimizers.items():
        told = {names[weight]: kept for weight, kept in optimizer.state.items()}
        for ours, theirs in SLOTS.items():
            mine = {key: next((kept[name] for name in theirs if name in kept), None) for key, kept in told.items()}
            want |= {f"{player}, {ours} of {key}": pairs.array(x) for key, x in mine.items() if x is not None}
    return optimizer_row(opt, want)


def optimizer_row(opt, want):
    """`want` {"player, slot of weight": array}; what is but noise has no scale of its own."""
    have = {
        f"{player}, {slot} of {key}": x
        for player, state in opt.items()
        for slot in SLOTS
        for key, x in slots(state, slot).items()
    }
    floors = {slot: 1e-4 * largest(part(want, slot)) for slot in SLOTS}
    rows = [compare("optimizer", part(have, slot), part(want, slot), floor=floors[slot]) for slot in SLOTS]
    return merged([("", row) for row in rows])[0]


def part(arrays, slot):
    return {key: x for key, x in arrays.items() if f", {slot} of " in key}


def slots(state, name):
    """{weight: its array} of what an optax state calls `name`."""
    found = optax.tree_utils.tree_get_all_with_path(state, name)
    return {key: x for _, tree in found for key, x in to_state_dict(tree, {}).items()}


def compare_samples(setting, state):
    """In evaluation, from the same noise; sampling moves nothing."""
    draws, twin = pairs.sample_draws(setting.family, jax.random.key(7), 4), setting.twin
    before = pairs.arrays(twin.state_dict())
    have = np.asarray(sides.our_samples(setting.family)(state.params, state.stats, draws))
    want = sides.their_samples(twin, setting.family, draws)
    moved = compare("samples", before, pairs.arrays(twin.state_dict()), gate=0.0)
    row = sample_row(setting, have, want)
    return row if moved.ok else moved


def sample_row(setting, have, want):
    shown = {"jax": have[:8], "torch": want[:8], "low": float(want.min()), "high": float(want.max())}
    setting.shown["samples"] = shown if want.ndim == 4 else None
    return compare("samples", {"image": have}, {"image": want})


def compare_trajectory(setting, losses):
    """Each metric in units of its largest value over the run, at each step."""
    stack = lambda side: {key: np.stack([pair[side][key] for pair in losses]) for key in losses[0][1]}
    have, want = stack(0), stack(1)
    row = compare("trajectory", have, want)
    scale = {key: np.abs(x).max() or 1.0 for key, x in want.items()}
    apart = [np.abs(have[key] - want[key]).reshape(len(losses), -1).max(1) / scale[key] for key in want]
    curves = {key: {"torch": want[key], "jax": have[key]} for key in want if want[key].ndim == 1}
    shown = {"step": list(range(1, len(losses) + 1)), "losses": curves, "error": np.max(apart, 0)}
    setting.shown["trajectory"] = shown | {"gate": row.gate, "stopped": None}
    return row
