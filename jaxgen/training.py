"""The training run: `jaxgen train`, or `jaxgen.train(...)`."""

import time
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import checkpoint, core, data, find, parallel, pictures, sampling, settings
from jaxgen.errors import Diverged, MissingExtra, UserError, writing
from jaxgen.run import Run, build

SHOW = 5.0  # seconds without a printed line
LOWER = "The last checkpoint is as it was; try a lower --lr under another --name."


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
    family, cls = build(name, options), find.family(name)
    loaded = data.load(options["data"], options["data_dir"])
    plan = Plan(family, loaded.train, options)
    folder = Run(options["name"] or f"runs/{find.label(name)}-{loaded.name}")
    folder.begin(name, options, settings.recipe(cls, options["recipe"]))
    txs = family.optimizers(**settings.of(cls.optimizers, options))
    state, step = resumed(folder, family, txs, options)
    print(plan.described(folder.folder, step))
    if step < plan.steps:
        go(plan, folder, family, txs, state, step)
    return folder.folder


def go(plan, folder, family, txs, state, step):
    """From `step` to the end: a line of the log for each call, now and then a checkpoint."""
    begun = shown = time.perf_counter()
    call, state, rest = plan.call(family, txs), plan.placed(state), plan.rest()
    while step < plan.steps:
        count = plan.count(step)
        state, metrics = call(state, plan.rows(step, count), rest)
        step += count
        told = finite({key: float(x.mean()) for key, x in jax.device_get(metrics).items()}, step)
        now, save = time.perf_counter(), plan.saves(step, count)
        folder.log(step, now - begun, told)
        if save:
            keep(folder, family, state, step, plan)
        if save or now - shown > SHOW:
            print(line(step, plan.steps, told, now - begun), flush=True)
            shown = now


class Plan:
    """How many steps, which rows of the data each of them sees, and where they are computed."""

    def __init__(self, family, arrays, options):
        self.shares, self.used = core.shares(family), core.used(family)
        self.batch, self.seed, self.decay, self.way = (options[key] for key in ("batch", "seed", "ema", "parallel"))
        self.log_every, self.save_every = options["log_every"], options["save_every"]
        self.inputs = family.inputs(self.batch * self.shares)
        self.arrays = data.fit(arrays, self.inputs)
        self.length = len(next(iter(self.arrays.values())))
        self.sizes = {net: size(params) for net, params in jax.eval_shape(family.init, jax.random.key(0))[0].items()}
        self.check(1 if self.way == "jit" else jax.device_count())
        epoch = self.length // (self.batch * self.used)
        self.steps = max(1, int(options["epochs"] * epoch)) if options["steps"] is None else options["steps"]

    def check(self, devices):
        if (need := self.batch * self.used) > self.length:
            raise UserError(f"batch {self.batch}: a step needs {need} rows, the data has {self.length}.")
        if rest := self.batch % devices:
            near = self.batch - rest or devices
            raise UserError(f"batch {self.batch} is not divisible by {devices} devices. Use {near}.")

    def count(self, step):
        """Steps of the call that begins at `step`: to the next line of the log."""
        return min(self.log_every - step % self.log_every, self.steps - step)

    def saves(self, step, count):
        """Whether a checkpoint falls into the `count` steps that ended at `step`."""
        return step % self.save_every < count or step == self.steps

    def rows(self, step, count):
        """(count, rows of a step) for the steps from `step` on; shares that no player looks at repeat the last one."""
        seen, place = self.batch * self.used, np.minimum(np.arange(self.shares), self.used - 1)
        each = [data.rows(self.length, seen, self.seed, step + i) for i in range(count)]
        return np.stack([rows.reshape(-1, self.used)[:, place].reshape(-1) for rows in each])

    def call(self, family, txs):
        """Several steps in one call, on however many devices: (state, rows, rest) -> state, metrics."""
        step = partial(core.step, family, txs, decay=self.decay)
        one = lambda state, rows, rest: step(state, data.scaled(rest["data"], self.inputs, rows), rest["root"])
        several = parallel.many(one)
        return parallel.jit(several) if self.way == "jit" else getattr(parallel, self.way)(several, axis=1)

    def placed(self, tree):
        """On the device, or on each of them."""
        return jax.device_put(tree) if self.way == "jit" else parallel.replicated(tree)

    def rest(self):
        """What every device needs whole: the root of all keys, and the data as uint8."""
        return self.placed({"root": jax.random.key(self.seed), "data": self.arrays})

    def described(self, folder, step):
        sizes = " + ".join(f"{n:,} ({net})" for net, n in self.sizes.items())
        done = ", all done" if step >= self.steps else f", from step {step:,}" if step else ""
        length = f"{self.steps:,} steps of {self.batch} rows{done}"
        return f"{folder}: {sizes} parameters, {self.length:,} images, {length}"


def size(tree):
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
        raise Diverged(f"step {step}: {', '.join(odd)} is not finite. {LOWER}")
    return metrics


def finite_weights(state, step):
    """A checkpoint that holds a NaN is worth nothing."""
    good = jax.tree.leaves_with_path(are_finite({"params": state.params, "stats": state.stats}))
    if odd := [jax.tree_util.keystr(path, simple=True, separator=".") for path, fine in good if not fine]:
        raise Diverged(f"step {step}: {odd[0]} is not finite, as {len(odd)} arrays in all. {LOWER}")


@jax.jit
def are_finite(tree):
    return jax.tree.map(lambda x: jnp.isfinite(x).all(), tree)


def keep(folder, family, state, step, plan):
    """Weights, a grid of the same noise each time, at the end the curves; the checkpoint last, for it says that all is
    there."""
    finite_weights(state, step)
    folder.save_weights(state)
    now = (state.ema["params"], state.ema["stats"]) if state.ema else (state.params, state.stats)
    images = sampling.images(family, *now, count=64, seed=plan.seed, batch=64)
    with writing(folder.folder):
        pictures.grid(images, folder.folder / "samples" / f"step_{step:06d}.png")
        if step == plan.steps:
            draw_curves(folder)
    checkpoint.save(folder.checkpoints, step, state)


def draw_curves(folder):
    try:
        pictures.curves(folder.folder / "log.jsonl", folder.folder / "curves.png")
    except MissingExtra as missing:
        print(f"no curves: {missing}")


def line(step, steps, metrics, seconds):
    told = "  ".join(f"{key} {x:.4g}" for key, x in metrics.items())
    return f"step {step:>{len(str(steps))}}/{steps}  {told}  {seconds:.0f} s"
