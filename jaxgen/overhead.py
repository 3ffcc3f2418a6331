"""What the tool's loop costs beside the bare steps: log, progress and checkpoints at their defaults."""

import json
import tempfile
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np

from jaxgen import find, parallel, settings, training
from jaxgen.loop import Loop
from jaxgen.run import Run, provenance
from jaxgen.setup import Setup


def overhead(
    family: str = "vae",  # by its first recipe
    data: str = "mnist",  # what it is trained on
    data_dir: str | None = None,  # where the data lie
    epochs: float = 3,  # length of each run
    rounds: int = 10,  # of each side, in turn
    out: str | None = None,  # FILE.json for the numbers
) -> dict[str, float]:
    """Median seconds of a run by the tool over those of one scan of the same steps; compiling, evaluations and grids of
    samples are timed apart."""
    given = {"data": data, "data_dir": data_dir, "epochs": epochs, "parallel": "jit"}
    setup = Setup(family, settings.resolve(find.family(family), training.options, given))
    bare = scanned(setup)
    times: dict[str, list[float]] = {"bare": [], "tool": []}
    sides = {"bare": bare, "tool": partial(by_the_tool, setup)}
    apart: dict[str, float] = {}
    for i in range(rounds):
        for side in sorted(sides, reverse=i % 2 == 1):  # by turns the first, for a machine that slows down
            seconds, named = sides[side]()
            times[side].append(seconds)
            apart |= named
    ratio = float(np.median([a / b for a, b in zip(times["tool"], times["bare"], strict=True)]))
    told = {"ratio": ratio, "steps": setup.plan.steps, "seconds": times, "apart": apart, "about": provenance()}
    each = {side: 1e3 * float(np.median(x)) / setup.plan.steps for side, x in times.items()}
    print(
        f"{setup.plan.steps:,} steps: {each['bare']:.3f} ms each in one scan, "
        f"{each['tool']:.3f} by the tool: {ratio:.3f}"
    )
    print("apart: " + ", ".join(f"{what} {x:.2f} s" for what, x in apart.items()))
    if out:
        Path(out).write_text(json.dumps(told, indent=2) + "\n")
    return told


def scanned(setup):
    """-> a function that makes all steps of the run in one compiled call, and says how long it took."""
    source = setup.feed(0)
    one = lambda state, rows, rest: setup.step(state, source.batch(rows, rest["data"]), rest["root"])
    rows = jax.device_put(np.stack([setup.plan.rows(step) for step in range(setup.plan.steps)]))
    rest = jax.device_put({"root": setup.root, "data": source.arrays})
    run = parallel.jit(parallel.many(one)).lower(parallel.once(setup.fresh)(setup.root), rows, rest).compile()

    def bare():
        state = jax.block_until_ready(parallel.once(setup.fresh)(setup.root))
        begun = time.perf_counter()
        jax.block_until_ready(run(state, rows, rest))
        return time.perf_counter() - begun, {}

    return bare


def by_the_tool(setup):
    """-> seconds of steps, log and checkpoints, and of what is timed apart."""
    with tempfile.TemporaryDirectory() as place:
        folder = Run(place)
        folder.begin(setup)
        loop = Loop(setup, folder, *training.resumed(setup, folder))
        loop.run()
        apart = {key: x for key, x in loop.clock.named.items() if key != "checkpoints"}
        return loop.clock.seconds - sum(apart.values()), apart
