"""Names, and what each player's turn gives: outputs of every layer, losses, gradients; in training and in evaluation,
of kind and of unkind inputs."""

import inspect

import jax
import numpy as np

from jaxgen.errors import needs
from jaxgen.optim import clip_grad_norm
from jaxgen.parity import pairs, sides, ties
from jaxgen.parity.compare import Row, compare, largest, merged
from jaxgen.parity.unkind import unkind


def public(module):
    return {key: value for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__}


def compare_signatures(setting):
    """The same definitions with the same arguments, and the same declarations; nothing of a stranger's pair."""
    case = setting.case
    if not isinstance(case, pairs.Case):
        return
    ours, theirs = (inspect.getmodule(cls) for cls in (case.ours, case.theirs))
    arguments = lambda x: str(inspect.signature(x.__init__ if inspect.isclass(x) else x))
    here, there = ({key: arguments(x) for key, x in public(m).items() if callable(x)} for m in (ours, theirs))
    here["optimizers"], there["optimizers"] = (arguments(cls.optimizers) for cls in (case.ours, case.theirs))
    for name in ("players", "simultaneous", "images", "small"):
        here[name], there[name] = (getattr(side, name, None) for side in (setting.family, setting.twin))
    same = lambda key: key in here and key in there and here[key] == there[key]
    yield Row("signatures", {key: 0.0 if same(key) else float("inf") for key in here | there}, 0.0)


def compare_names(setting):
    """Keys, shapes and dtypes of the weights."""
    kind = lambda x: (x.dtype.name, x.shape)
    have, want = setting.state_dict, pairs.arrays(setting.twin.state_dict())
    dropped = getattr(setting.family, "dropped", {})
    same = lambda key: key in have and key in want and kind(have[key]) == kind(want[key])
    errors = {key: 0.0 if same(key) else float("inf") for key in want | have if key not in dropped}
    return Row("names", errors, 0.0, dropped)


def compare_turns(setting, adversarial):
    """Each player's turn on its first share, in training."""
    rows, given = [], setting.turn()
    for name in setting.family.players:
        run = sides.our_turn(setting.family, name)
        have, want = both(setting, name, run, given)
        rows += [(name, row) for row in differences(have, want)]
        rows.append((name, clipped(setting.family, have["gradients"], want["gradients"])))
        if adversarial:
            for kind, other in unkind(given).items():
                have, want = both(setting, name, run, other)
                row = joined("adversarial", differences(have, want))
                if not row.ok:
                    row = ties.excused(row, ties.jumps(setting, name, other, want))
                rows.append((f"{kind}, {name}", row))
    yield from merged(rows)


def compare_evaluation(setting):
    """Losses and outputs in evaluation, of the whole share and of one row of it."""
    rows, given = [], setting.turn()
    for name in setting.family.players:
        run = sides.our_turn(setting.family, name, train=False)
        have, want = both(setting, name, run, given, train=False)
        rows.append((name, joined("evaluation", differences(have, want))))
        have, want = both(setting, name, run, first_row(given), train=False)
        rows.append((f"one row, {name}", joined("adversarial", differences(have, want))))
        if hasattr(setting.family, "odd"):
            rows.append((f"odd sizes, {name}", odd_sizes(setting, name, run, setting.family.odd(given))))
    yield from merged(rows)


def odd_sizes(setting, name, run, given):
    """Images of a row and a column less, where a padding that is only right for even sizes shows; not every net takes
    them."""
    try:
        return joined("adversarial", differences(*both(setting, name, run, given, train=False)))
    except (RuntimeError, ValueError, TypeError) as error:
        reason = f"refused by one of the sides: {str(error).splitlines()[0]}"
        return Row("adversarial", {}, left_out={"odd sizes": reason})


def both(setting, name, run, given, train=True):
    """What both sides tell of the same turn, from the weights of the start."""
    setting.give()
    want = sides.their_turn(setting.twin, setting.family, name, given, train)
    return run(setting.state.params, setting.state.stats, given), want


def first_row(tree):
    return jax.tree.map(lambda x: x[:1], tree)


def differences(have, want):
    """Rows of outputs, losses and gradients. A bias before BatchNorm has a gradient that is zero but for round-off: no
    scale of its own."""
    for level in want:
        floor = 1e-4 * largest(want[level]) if level in ("gradients", "inputs") else 0.0
        yield compare(level, have[level], want[level], floor=floor, in_order=level == "outputs")


def joined(level, rows):
    """All rows as one of the level."""
    errors = {f"{row.level}, {key}": error for row in rows for key, error in row.errors.items()}
    return Row(level, errors, in_order=True)


def clipped(family, have, want):
    """torch's clip_grad_norm_ against ours, on the twin's gradients, to half of their norm. A player that trains
    nothing has none."""
    if not want:
        return Row("clipping", {})
    torch = needs("torch", "verify")
    norm = float(np.sqrt(sum((x**2).sum() for x in want.values())))
    weights = {key: torch.nn.Parameter(torch.from_numpy(x)) for key, x in want.items()}
    for x in weights.values():
        x.grad = x.detach().clone()
    torch.nn.utils.clip_grad_norm_(weights.values(), norm / 2)
    mine, _ = pairs.quick(clip_grad_norm(norm / 2).update)(want, None)
    theirs = {key: x.grad for key, x in weights.items()}
    return compare("clipping", pairs.plain(mine), pairs.arrays(theirs), floor=1e-4 * largest(want))
