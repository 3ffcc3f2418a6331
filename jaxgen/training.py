"""The training run: `jaxgen train`, or `jaxgen.train(...)`."""

import time
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jaxgen import checkpoint, core, data, find, parallel, pictures, sampling, settings
from jaxgen.errors import Diverged, MissingExtra, UserError
from jaxgen.run import Run, build

SHOW = 5.0  # seconds without a printed line


def train(family: str, **given: Any) -> Path:
    """Train a family (a name, or the path of a file) and return the folder of the run.

    Options are those of `options`, of the family's constructor and of its optimizers; what is not given comes from the
    recipe. The same call goes on with a run that was stopped.

    >>> train("vae", data="digits", steps=200)  # doctest: +SKIP
    """
    return run(family, settings.resolve(find.family(family), options, given))


def options(
    data: str = "digits",  # digits, mnist, or a FILE.npz
    data_dir: str | None = None,  # where mnist.npz lies; else $JAXGEN_DATA, else the user's cache folder
    recipe: str | None = None,  # a named set of options; --data digits selects the recipe of that name
    name: str | None = None,  # the folder of the run; else runs/FAMILY-DATA
    batch: int = 64,  # rows that a player sees in a turn, over all devices
    epochs: float = 10,  # length of the run in passes through the data
    steps: int | None = None,  # length in steps; replaces epochs
    seed: int = 0,  # of initial weights, order of the data and noise
    ema: float = 0.0,  # decay of the running average of the weights; 0 keeps none
    parallel: Literal["jit", "sharded", "pmap"] = "jit",  # one device, or all of them in one of two ways
    log_every: int = 50,  # steps between two lines of the log, all made in one call
    save_every: int = 1000,  # steps between two checkpoints, each with a grid of samples
):
    """The options that every run has; the signature is the list."""


def run(name: str, options: dict[str, Any]) -> Path:
    """A run whose every option is settled."""
    begun = time.perf_counter()
    family, cls = build(name, options), find.family(name)
    inputs = family.inputs(options["batch"] * core.shares(family))
    loaded = data.load(options["data"], options["data_dir"])
    arrays = data.fit(loaded.train, inputs)
    plan = Plan(family, arrays, inputs, options)
    folder = Run(options["name"] or f"runs/{find.label(name)}-{loaded.name}")
    folder.begin(name, options)
    txs = family.optimizers(**settings.of(cls.optimizers, options))
    place = jax.device_put if options["parallel"] == "jit" else parallel.replicated
    state, step = resumed(folder, family, txs, options)
    if step >= plan.steps:
        print(f"{folder.folder}: all {plan.steps} steps are done")
        return folder.folder
    print(plan.described(folder.folder, step))
    call = plan.call(family, txs)
    state = place(state)
    rest = place({"root": jax.random.key(options["seed"]), "data": arrays})
    shown = begun
    while step < plan.steps:
        count = min(options["log_every"] - step % options["log_every"], plan.steps - step)
        state, metrics = call(state, plan.rows(step, count), rest)
        step += count
        told = finite({key: float(x.mean()) for key, x in jax.device_get(metrics).items()}, step)
        now, save = time.perf_counter(), step % options["save_every"] < count or step == plan.steps
        folder.log(step, now - begun, told)
        if save:
            keep(folder, family, state, step, options["seed"], inputs)
        if save or now - shown > SHOW:
            print(line(step, plan.steps, told, now - begun), flush=True)
            shown = now
    draw_curves(folder)
    return folder.folder


class Plan:
    """How many steps, and which rows of the data each of them sees."""

    def __init__(self, family, arrays, inputs, options):
        self.inputs, self.options = inputs, options
        self.length = len(next(iter(arrays.values())))
        self.shares, self.used = core.shares(family), core.used(family)
        self.parameters = {
            net: count(params) for net, params in jax.eval_shape(family.init, jax.random.key(0))[0].items()
        }
        batch, devices = options["batch"], jax.device_count() if options["parallel"] != "jit" else 1
        if batch * self.used > self.length:
            raise UserError(f"batch {batch}: a step needs {batch * self.used} rows, the data has {self.length}.")
        if batch % devices:
            raise UserError(
                f"batch {batch} is not divisible by {devices} devices. Use {batch - batch % devices or devices}."
            )
        epoch = self.length // (batch * self.used)
        self.steps = options["steps"] or int(options["epochs"] * epoch)

    def rows(self, step, count):
        """(count, rows of a step) for the steps from `step` on; shares that no player looks at repeat the last one."""
        seen, place = self.options["batch"] * self.used, np.minimum(np.arange(self.shares), self.used - 1)
        each = [data.rows(self.length, seen, self.options["seed"], step + i) for i in range(count)]
        return np.stack([rows.reshape(-1, self.used)[:, place].reshape(-1) for rows in each])

    def call(self, family, txs):
        """Several steps in one call, on however many devices: (state, rows, rest) -> state, metrics."""
        step = partial(core.step, family, txs, decay=self.options["ema"])
        one = lambda state, rows, rest: step(state, data.scaled(rest["data"], self.inputs, rows), rest["root"])
        several = parallel.many(one)
        way = self.options["parallel"]
        return parallel.jit(several) if way == "jit" else getattr(parallel, way)(several, axis=1)

    def described(self, folder, step):
        size = " + ".join(f"{n:,} ({net})" for net, n in self.parameters.items())
        length = f"{self.steps:,} steps of {self.options['batch']} rows" + (f", from step {step:,}" if step else "")
        return f"{folder}: {size} parameters, {self.length:,} images, {length}"


def count(tree):
    return sum(x.size for x in jax.tree.leaves(tree))


def resumed(folder, family, txs, options):
    """-> the newest state of the run, its step; an initial one where there is none."""
    fresh = partial(core.init, family, txs, averaged=options["ema"] > 0)
    key = jax.random.key(options["seed"])
    step = checkpoint.latest(folder.checkpoints)
    folder.rewind(step or 0)
    if step is None:
        return jax.jit(fresh)(key), 0
    return checkpoint.load(folder.checkpoints, step, jax.eval_shape(fresh, key)), step


def finite(metrics, step):
    if odd := [key for key, x in metrics.items() if not np.isfinite(x)]:
        raise Diverged(f"step {step}: {', '.join(odd)} is not finite. The last checkpoint is as it was; lower --lr.")
    return metrics


def keep(folder, family, state, step, seed, inputs):
    """Checkpoint, weights, and a grid of the same noise each time."""
    checkpoint.save(folder.checkpoints, step, state)
    folder.save_weights(state)
    now = (state.ema["params"], state.ema["stats"]) if state.ema else (state.params, state.stats)
    images = sampling.images(family, *now, count=64, seed=seed, batch=64)
    pictures.grid(images, folder.folder / "samples" / f"step_{step:06d}.png")


def draw_curves(folder):
    try:
        pictures.curves(folder.folder / "log.jsonl", folder.folder / "curves.png")
    except MissingExtra as missing:
        print(f"no curves: {missing}")


def line(step, steps, metrics, seconds):
    told = "  ".join(f"{key} {x:.4g}" for key, x in metrics.items())
    return f"step {step:>{len(str(steps))}}/{steps}  {told}  {seconds:.0f} s"
