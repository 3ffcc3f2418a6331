"""In each precision a device has: is the port as accurate as PyTorch itself, both judged against float64?"""

from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import precision
from jaxgen.errors import UserError, needs
from jaxgen.functional import Functional
from jaxgen.parity import pairs, sides
from jaxgen.parity.compare import largest
from jaxgen.parity.setting import Setting


class Rung(NamedTuple):
    """`unit`: the round-off of its products. `compute`: their type; None is float32, `tf32` rounds float32 further."""

    unit: float
    compute: str | None = None
    tf32: bool = False


RUNGS = {
    "float32": Rung(2.0**-24),
    "tf32": Rung(2.0**-11, tf32=True),
    "bf16": Rung(2.0**-9, "bfloat16"),
    "f16": Rung(2.0**-12, "float16"),
}

TURNS = 4  # different inputs


def available():
    """The rungs of this machine: a CPU has no TF32."""
    return tuple(name for name, rung in RUNGS.items() if not rung.tf32 or jax.default_backend() == "gpu")


def climb(case, rungs):
    """-> [{"rung", "device", "ok", "ratio", "where", "rows"}], one for each rung."""
    return [judged(name, case) for name in check(rungs)]


def check(rungs):
    """They, if this machine has them all."""
    if odd := [name for name in rungs if name not in available()]:
        raise UserError(f"unknown rung {odd[0]!r}. On this {jax.default_backend()} there are {', '.join(available())}.")
    return rungs


def judged(name, case):
    """Every array of every player's turn: from random inputs, several of them, as a single number may be right by luck;
    and, where products keep their digits, from inputs far from zero, of which a variance in one pass keeps none."""
    setting, rung = Setting(case), RUNGS[name]
    state, *turns = jax.tree.map(
        rounded, [(setting.state.params, setting.state.stats), *map(setting.turn, range(TURNS))]
    )
    kinds = {"": turns} | ({} if rung.compute else {"large mean": [far(given) for given in turns]})
    with jax.enable_x64(False):
        runs = our_turns(setting.family, rung)
        judge = lambda kind, player, given: judged_turns(setting, rung, state, given, player, runs[player], kind)
        rows = [row for kind, given in kinds.items() for player in runs for row in judge(kind, player, given)]
    worst = max(rows, key=lambda row: row["ratio"] / row["gate"])
    told = {"rung": name, "device": jax.default_backend(), "ok": all(row["ok"] for row in rows)}
    where = f"{worst['level']}: {worst['array']}"
    return told | {"ratio": worst["ratio"], "gate": worst["gate"], "where": where, "rows": rows}


def judged_turns(setting, rung, state, turns, player, run, kind):
    mine, theirs, truth = [], [], []
    for given in turns:
        truth.append(their_turn(setting, player, state, given, None))
        theirs.append(their_turn(setting, player, state, given, rung))
        with precision.scope("tf32" if rung.tf32 else "float32"):
            mine.append(run(*state, given))
    return compared(", ".join(filter(None, (kind, player))), mine, theirs, truth, rung.unit)


def rounded(x):
    """What float32 holds; the truth begins with the same numbers."""
    return np.asarray(x, np.float32) if jnp.issubdtype(x.dtype, jnp.floating) else np.asarray(x)


FAR = np.float32(30)  # a variance in one pass loses three digits; more would push much across the kinks of the nets


def far(given):
    """Not of a number a row: that is a time or a strength, of whose exponential little would be left."""
    return jax.tree.map(lambda x: x + FAR if np.issubdtype(x.dtype, np.floating) and x.ndim > 1 else x, given)


def our_turns(family, rung):
    """{player: its turn}, compiled as in training (in a hurry sums are less exact), products in the rung's type as
    there; a stranger's model is cast as a whole."""
    compute = rung.compute and jnp.dtype(rung.compute)
    narrow = Functional(family.module, compute) if isinstance(family, Functional) else family.cast(compute)
    return {player: sides.our_turn(narrow, player, compiled=jax.jit) for player in family.players}


def their_turn(setting, player, state, given, rung):
    """The twin's: in float64 on the host if `rung` is None, else on the device as torch would train there."""
    torch = needs("torch", "verify")
    twin, device = setting.twin, "cuda" if rung and jax.default_backend() == "gpu" else "cpu"
    half = rung and rung.compute and getattr(torch, rung.compute)
    auto = half and isinstance(setting.family, Functional)
    twin.to(device=device, dtype=torch.float32 if auto else half or (torch.float32 if rung else torch.float64))
    pairs.give(twin, *state)
    with tf32(torch, bool(rung and rung.tf32)), torch.autocast(device, half) if auto else nullcontext():
        return sides.their_turn(twin, setting.family, player, given)


@contextmanager
def tf32(torch, allowed):
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags]
    try:
        for flag in flags:
            flag.allow_tf32 = allowed
        yield
    finally:
        for flag, value in zip(flags, before, strict=True):
            flag.allow_tf32 = value


def compared(who, mine, theirs, truth, unit):
    """One row an array: root mean square errors over all turns, in units of the array's largest true value, or of what
    round-off makes of a gradient that is zero."""
    for level in truth[0]:
        floor = max(1e-4 * largest(told[level]) for told in truth) if level in ("gradients", "inputs") else 0.0
        for key in truth[0][level]:
            true = [told[level][key] for told in truth]
            scale = max(floor, *(np.abs(x).max(initial=0.0) for x in true)) or 1.0
            ours, other = (apart([told[level].get(key) for told in side], true) / scale for side in (mine, theirs))
            yield judged_array(level, f"{who}: {key}", true[0].size, ours, other, unit)


def apart(arrays, true):
    return float(np.sqrt(np.mean([distance(*pair) ** 2 for pair in zip(arrays, true, strict=True)])))


def distance(x, true):
    """Root mean square; infinite where NaNs, infinities, shapes or keys differ."""
    if x is None or x.shape != true.shape or not np.array_equal(np.isfinite(x), np.isfinite(true)):
        return np.inf
    error = (np.asarray(x, np.float64) - true)[np.isfinite(true)]
    return np.sqrt((error**2).mean()) if error.size else 0.0


def judged_array(level, array, size, ours, theirs, unit):
    """Gate P: at most `gate` times PyTorch's own error, and four units of round-off more. Where PyTorch itself gives
    infinities or NaNs, there is nothing to be measured by."""
    gate = 4 if size >= 1000 else 8 if size > 10 else 10
    ratio = ours / (theirs + 4 * unit / gate) if np.isfinite(theirs) else 1.0
    return {
        "level": level, "array": array, "size": size, "theirs": theirs, "ours": ours, "ratio": ratio, "gate": gate,
        "ulps": ours / unit, "ok": not ratio > gate,
    }  # fmt: skip
