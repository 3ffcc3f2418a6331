"""The JAX side of a case beside its frozen truth, in float64, level by level as in `verify`."""

import numpy as np

from jaxgen.optim import clip_grad_norm
from jaxgen.parity import leaks, levels, pairs, sides, steps
from jaxgen.parity.compare import LEVELS, Row, compare, largest, merged
from jaxgen.parity.unkind import unkind
from jaxgen.weights import to_state_dict

TURNS = {"outputs", "losses", "gradients", "inputs", "clipping"}
STEPS = {"metrics", "optimizer", "weights", "statistics", "averages", "samples"}


def asked(given):
    """{kind: (what a player is given in a turn, whether it trains)}."""
    unkindly = {kind: (other, True) for kind, other in unkind(given).items()}
    evaluated = {"evaluation": (given, False), "one row": (levels.first_row(given), False)}
    return {"training": (given, True), **unkindly, **evaluated}


def rows_of(frozen, only):
    """That the weights fit was seen when they were read."""
    yield Row("names", dict.fromkeys(frozen.state_dict, 0.0), 0.0, getattr(frozen.family, "dropped", {}))
    if frozen.learns and "leaks" in only:
        yield leaks.compare(frozen)
    yield from compare_turns(frozen, only)
    if frozen.learns and only & STEPS:
        yield from compare_steps(frozen)


def compare_turns(frozen, only):
    """Each player's first turn, of each kind that is asked for; all but the first two are of one level each."""
    rows, levels_of = [], {"training": TURNS, "evaluation": {"evaluation"}}
    for kind, (given, train) in asked(frozen.turn()).items():
        told_of = levels_of.get(kind, {"adversarial"})
        if not only & told_of:
            continue
        for player in frozen.family.players:
            have = frozen.runs[player, train](*frozen.trees, given)
            told = frozen.truth["turns"][kind][player]
            want = {name: told.get(name, {}) for name in LEVELS if name in have}
            if kind not in levels_of:  # ties were left out when it was frozen
                have = {name: {key: x for key, x in have[name].items() if key in want[name]} for name in want}
            found, named = levels.differences(have, want), player if kind in levels_of else f"{kind}, {player}"
            if kind == "training":
                found = [*found, compare_clipped(frozen, player, want["gradients"])]
            else:
                found = [levels.joined(*told_of, found)]
            rows += [(named, row) for row in found]
    yield from merged(rows)


def compare_clipped(frozen, player, grads):
    want = frozen.truth.get("clipped", {}).get(player, {})
    norm = float(np.sqrt(sum((x**2).sum() for x in grads.values())))
    have = clip_grad_norm(norm / 2).update(grads, None)[0] if grads else {}
    return compare("clipping", pairs.plain(have), want, floor=1e-4 * largest(grads))


def compare_steps(frozen):
    """After each step, then samples."""
    update, state, rows = frozen.update, frozen.state, []
    for number, want in frozen.truth["steps"].items():
        want = {name: want.get(name, {}) for name in ("metrics", "optimizer", "state", "averages", "noise")}
        state, metrics = update(state, *frozen.step(int(number) - 1))
        told = [compare("metrics", pairs.plain(metrics), want["metrics"])]
        told.append(steps.optimizer_row(state.opt, want["optimizer"]))
        learned = to_state_dict(state.params, {}).keys()
        told += steps.state_rows(state, want["state"], want["averages"], want["noise"], learned)
        rows += [(f"step {number}", row) for row in told]
    if "samples" in frozen.truth:
        rows.append(("", compare_samples(frozen, state)))
    yield from merged(rows)


def compare_samples(frozen, state):
    have = sides.our_samples(frozen.family)(state.params, state.stats, frozen.noise())
    return steps.sample_row(frozen, np.asarray(have), frozen.truth["samples"]["image"])
