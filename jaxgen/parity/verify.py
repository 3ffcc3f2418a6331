"""Is the port right? One comparison in float64, level by level, the same for every family and every stranger's pair."""

import time

import jax

from jaxgen.errors import UserError
from jaxgen.parity import ladder, leaks, levels
from jaxgen.parity import steps as steps_
from jaxgen.parity.compare import LEVELS, merged
from jaxgen.parity.result import Result
from jaxgen.parity.setting import Setting

STEPS, TRAJECTORY = 3, 300


def verify(case, *, steps=STEPS, trajectory=TRAJECTORY, only=(), rungs=(), details=False) -> Result:
    """-> Result, of all levels or of those named in `only`; each of `rungs` (`ladder.RUNGS`) is judged beside float64.

    `steps`: optimiser steps compared in full; `trajectory`: steps of which the losses are compared, 0 for none;
    `details`: the weights and each layer by itself, for a report."""
    if odd := [name for name in only if name not in LEVELS]:
        raise UserError(f"unknown level {odd[0]!r}. There are {', '.join(LEVELS)}.")
    ladder.check(rungs)
    begun, only = time.perf_counter(), {"signatures", "names", *(only or LEVELS)}
    with jax.enable_x64(True):
        setting = Setting(case, trajectory if "trajectory" in only else 0)
        rows = merged(("", row) for row in rows_of(setting, steps, trajectory, only) if row.level in only)
        judge = all(row.ok for row in rows) and not getattr(case, "samples_alone", False)
        rungs = ladder.climb(case, rungs) if judge else []
        if details:
            detail(setting, rows)
    return Result(case, rows, rungs, setting.shown, time.perf_counter() - begun)


def detail(setting, rows):
    from jaxgen.parity import diagnosis, mapping

    outputs = next((row for row in rows if row.level == "outputs"), None)
    setting.shown["weights"] = mapping.rows(setting)
    setting.shown["layers"] = list(diagnosis.layers(setting, outputs)) if outputs else []


def rows_of(setting, steps, trajectory, only):
    """Names that differ end it: there is nothing to give to the twin."""
    yield from levels.compare_signatures(setting)
    yield (names := levels.compare_names(setting))
    if not names.ok:
        return
    if getattr(setting.case, "samples_alone", False):
        setting.give()
        yield steps_.compare_samples(setting, setting.state)
        return
    if setting.learns and "leaks" in only:
        yield leaks.compare(setting)
    if only & {"outputs", "losses", "gradients", "inputs", "clipping", "adversarial"}:
        yield from levels.compare_turns(setting, "adversarial" in only)
    if only & {"evaluation", "adversarial"}:
        yield from levels.compare_evaluation(setting)
    if setting.learns and only & {"metrics", "weights", "optimizer", "statistics", "averages", "samples", "trajectory"}:
        yield from steps_.compare_steps(setting, steps, trajectory if "trajectory" in only else 0)
