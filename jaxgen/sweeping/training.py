"""The sweep: `jaxgen sweep FAMILY`, or `jaxgen.sweep(...)`."""

from pathlib import Path
from typing import Any

import jax

from jaxgen import describe, find, settings
from jaxgen import training as single
from jaxgen.errors import Diverged, UserError
from jaxgen.run import Run
from jaxgen.setup import Setup
from jaxgen.sweeping import folder as folders
from jaxgen.sweeping import listed, report
from jaxgen.sweeping.loop import Loop
from jaxgen.sweeping.program import Runs


def sweep(family: str, *, seeds: int = 4, **given: Any) -> Path:
    """Train `seeds` runs of every combination of the values that are listed, as one program, and return the folder.

    Options are those of `train`; of the numbers of the family's optimisers several may be listed. The seeds are `seed`,
    `seed + 1`, ...; each run is the same run of `train` up to round-off, whatever the others are. The same call goes on
    with a sweep that was stopped.

    >>> sweep("vae", data="digits", seeds=4, lr=(3e-4, 1e-3), steps=2000)  # doctest: +SKIP
    """
    cls = find.family(family)
    given, lists = listed.of_arguments(cls, settings.parameters(cls, single.options), given)
    return run(family, settings.resolve(cls, single.options, given), seeds, lists)


def options(
    seeds: int = 4,  # runs of each combination of values, from --seed on; values are listed as --lr 1e-4,2e-4
):
    """What a sweep can be told beyond the options of a run; the signature is the list."""


def run(name: str, settled: dict[str, Any], seeds: int, lists: dict[str, Any]) -> Path:
    """A sweep whose every option is settled."""
    refuse(settled)
    each = listed.runs(settled["seed"], seeds, lists)
    devices = spread(settled["parallel"], len(each))
    setup = Setup(name, settled | {"parallel": "jit"})  # a run is never split
    folder = Run(settled["name"] or f"runs/{find.label(name)}-{setup.data.name}-sweep")
    runs = prepared(setup, each, devices)
    if settled["dry_run"]:
        describe.describe(setup, folder, single.options)
        print(
            f"of {len(each)} such runs, whose states lie side by side: {folders.span({'runs': each, 'lists': lists})}"
        )
        return folder.folder
    folders.begin(folder, runs, lists)
    state, step = folders.resumed(folder, runs)
    where = f", over {devices} devices" if devices > 1 else ""
    print(f"{len(each)} runs{where}, each as {describe.line(setup, folder, step)}")
    if step < setup.plan.steps and None in folders.diverged(folder):
        Loop(runs, folder, state, step).run()
    report.write(folder)
    if not any(one.fine for one in report.results(folder)):
        raise Diverged(f"{folder.folder}: all runs diverged. Try a lower --lr under another --name.")
    return folder.folder


def prepared(setup, each, devices):
    """What cannot be is said before anything is written."""
    setup.check()
    if setup.plan.streams:
        size = f"{setup.train.nbytes / 2**30:.1f} GiB of images"
        raise UserError(
            f"stream: the runs take their rows on the device, which {size} are kept away from. Use --stream no."
        )
    runs = Runs(setup, each, devices)
    assert runs.like  # the optimisers can be traced
    return runs


UNMADE = {  # what a run does that a sweep does not: why
    "init": "each run of a sweep begins with the weights of its seed",
    "tensorboard": "the log of a sweep has a list of numbers a metric",
    "ema_widths": "a sweep stores no averages to choose from",
    "snapshot_every": "a sweep stores no averages to choose from",
    "grid_every": "a sweep draws no samples; take a run out and sample it",
}


def refuse(settled):
    for name, why in UNMADE.items():
        if settled[name]:
            raise UserError(f"{name}: {why}. Leave it out, or use jaxgen train.")
    if settled["parallel"] == "pmap":
        raise UserError("parallel pmap: a sweep lays whole runs on the devices. Use auto, sharded or jit.")


def spread(way, count):
    """On how many devices the runs lie: as many as divide their number."""
    there = 1 if way == "jit" else jax.local_device_count()
    return max(n for n in range(1, there + 1) if count % n == 0)
