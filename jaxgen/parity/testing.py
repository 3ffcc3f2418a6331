"""Behind `jaxgen.testing`: a case verified once for all its tests, and what a failure says in five lines."""

import os
import shlex
from functools import partial
from typing import Any, NamedTuple

import pytest

from jaxgen.errors import UserError
from jaxgen.parity import ladder
from jaxgen.parity.compare import LEVELS, UNITS
from jaxgen.parity.named import named
from jaxgen.parity.pairs import Case
from jaxgen.parity.verify import verify

LEARNED = {"leaks", "metrics", "weights", "optimizer", "statistics", "averages", "samples", "trajectory"}
VERIFIED = pytest.StashKey[dict]()


class Check(NamedTuple):
    """One test: a level or a rung of a case. `key` is shared by all tests of the case."""

    key: tuple[int, int]
    case: Any
    name: str
    asked: Any

    def __str__(self):
        return f"{self.case}-{self.name}"


def checks(asked, config):
    """All that is asked for in the file, and on the command line."""
    more, chosen = config.getoption("parity_rung"), config.getoption("parity_level")
    rungs = tuple(dict.fromkeys([*asked.rungs, *more]))
    rungs = ladder.available() if "all" in rungs else rungs
    if odd := [name for name in (*asked.levels, *chosen) if name not in LEVELS]:
        raise UserError(f"unknown level {odd[0]!r}. There are {', '.join(LEVELS)}.")
    ladder.check(rungs)
    cases = [one for case in asked.cases for one in (named(case) if isinstance(case, str) else [case])]
    return [
        Check((id(asked), i), case, name, asked)
        for i, case in enumerate(cases)
        for name in [*levels_of(case, asked, chosen), *(rungs if more or not chosen else ())]
    ]


def levels_of(case, asked, chosen):
    """Those that say something about the case."""
    without = set() if asked.trajectory else {"trajectory"}
    if not isinstance(case, Case):
        weights = getattr(case.torch, "parameters", tuple)()
        without |= {"signatures", "samples"} | (set() if any(True for _ in weights) else LEARNED)
    wanted = chosen or asked.levels or LEVELS
    return [name for name in LEVELS if name in wanted and name not in without]


def run(check, item):
    """Fails if the level does not hold; errors and gates are noted for JUnit's file either way."""
    result = verified(check, item)
    failed = next((row for row in result if not row.ok), None)
    row = next((row for row in result if row.level == check.name), None)
    rung = next((rung for rung in result.ladder if rung["rung"] == check.name), None)
    item.user_properties += [(f"parity_{name}", value) for name, value in noted(row, rung).items()]
    if rung and not rung["ok"]:
        pytest.fail(told(check, item, *imprecise(rung)), pytrace=False)
    if row is None and rung is None:
        row = failed  # what comes before it differs, so it was not compared
    if rung is None and (row is None or not row.ok):
        pytest.fail(told(check, item, *different(check, item, result, row)), pytrace=False)


def noted(row, rung):
    if rung:
        return {"ratio": f"{rung['ratio']:.3g}", "gate": rung["gate"], "where": rung["where"], "device": rung["device"]}
    return {"error": f"{row.error:.3g}", "gate": row.gate, "where": row.where, "arrays": row.compared} if row else {}


def verified(check, item):
    """The result, found once: at the levels and rungs of all tests of the case that run in this session."""
    kept = item.config.stash.setdefault(VERIFIED, {})
    if check.key not in kept:
        mates = [getattr(each, "callspec", None) for each in item.session.items]
        given = [mate.params.get("parity_check") for mate in mates if mate]
        names = {each.name for each in given if isinstance(each, Check) and each.key == check.key}
        levels, rungs = (tuple(name for name in some if name in names) for some in (LEVELS, ladder.RUNGS))
        how = dict(steps=check.asked.steps, trajectory=check.asked.trajectory, only=levels or ("names",), rungs=rungs)
        kept[check.key] = attempt(partial(verify, check.case, **how))
    found = kept[check.key]
    if isinstance(found, UserError):
        pytest.fail(f"{check.case}: {found}", pytrace=False)
    return found


def attempt(function):
    """What it gives, or what it says to the user."""
    try:
        return function()
    except UserError as error:
        return error


def told(check, item, *lines):
    """Five lines, the last being the command that runs this test again."""
    options = [f" --parity-rung {name}" for name in item.config.getoption("parity_rung")]
    path = os.path.relpath(item.path, item.config.invocation_params.dir)
    again = f"pytest {shlex.quote('::'.join([path, *item.nodeid.split('::')[1:]]))}{''.join(options)}"
    return "\n".join(" ".join(line.split()) for line in [*lines, f"again: {again}"])


def different(check, item, result, row):
    if row is None:
        return f"{check}: nothing was compared", "the error is unknown", "first divergence: unknown", "cause: unknown"
    size = f"{row.error:.1e} {UNITS.get(row.gate, '')}" if row.error < float("inf") else "infinite: of another kind"
    times = f", {row.error / row.gate:.1e} times the gate" if row.gate and row.error < float("inf") else ""
    first, cause = diagnosed(check, item, result)
    return f"{check.case}: {row.level}: {row.where} differs", f"error {size} (gate {row.gate:.0e}){times}", first, cause


def diagnosed(check, item, result):
    """Found once for all tests of the case. A diagnosis that fails must not hide the failure that it was to explain."""
    from jaxgen.parity.diagnosis import diagnose

    kept = item.config.stash[VERIFIED]
    if ("diagnosis", check.key) not in kept:
        try:
            kept["diagnosis", check.key] = lines(diagnose(check.case, result))
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            kept["diagnosis", check.key] = "first divergence: not found", f"cause: the diagnosis failed ({said})"
    return kept["diagnosis", check.key]


def lines(found):
    if not found.found:
        return "first divergence: no layer is wrong by itself", f"likely cause: {found.told}"
    seen = ", ".join(filter(None, (found.phase, found.where)))
    first = f"first divergence: {found.kind} {found.layer} ({seen}): its own error {found.local:.1e}"
    return f"{first}, inherited {found.inherited:.1e}", f"likely cause: {found.told}; {found.cure}"


def imprecise(rung):
    """Float64 agrees, so the diagnosis has nothing to find."""
    worst = max(rung["rows"], key=lambda row: row["ratio"] / row["gate"])
    first = next(row for row in rung["rows"] if not row["ok"])
    size = f"error {worst['ours']:.1e}, PyTorch's own {worst['theirs']:.1e}: {worst['ratio']:.1f} times it"
    yield f"{rung['rung']} on this {rung['device']}: {rung['where']} is less accurate than PyTorch's"
    yield f"{size} (gate {worst['gate']})"
    yield f"first divergence: {first['level']}: {first['array']}, {first['ulps']:.1f} units of round-off"
    yield (
        "likely cause: float64 agrees, so digits are lost: by a variance in one pass (use_fast_variance=False "
        "mends it), or by products in a narrower type than PyTorch's (jax_default_matmul_precision)"
    )
