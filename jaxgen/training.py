"""The training run: `jaxgen train`, or `jaxgen.train(...)`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from jaxgen import checkpoint, core, describe, find, initial, optim, precision, settings
from jaxgen.loop import Loop
from jaxgen.run import Run
from jaxgen.setup import Setup


def train(
    family: str,
    *,
    optimizers: dict[str, Any] | None = None,
    callback: Callable[[int, core.State, dict[str, float]], Any] | None = None,
    **given: Any,
) -> Path:
    """Train a family (a name, or the path of a file) and return the folder of the run.

    Options are those of `options`, of the family's constructor and of its optimizers; what is not given comes from the
    recipe. The same call goes on with a run that was stopped. `optimizers` {player: any optax transformation} replaces
    the family's. `callback(step, state, metrics)` is called at each line of the log, between two calls of the compiled
    steps; it returns nothing, another state to go on with, or False to stop. The state that it is given is donated to
    the next call: copy what is to be kept.

    >>> train("vae", data="digits", steps=200)  # doctest: +SKIP
    """
    return run(family, settings.resolve(find.family(family), options, given), optimizers, callback)


def options(
    data: str = "digits",  # digits, mnist, fashion_mnist, cifar10, a FOLDER of images, or a FILE.npz
    data_dir: str | None = None,  # where the built-in sets lie; else $JAXGEN_DATA, else the user's cache folder
    resize: Literal["none", "crop", "stretch"] = "none",  # bring your own images to the family's size
    convert: bool = False,  # bring other colour modes to the family's channels
    flip: bool = False,  # show images also from right to left, drawn anew each step
    stream: Literal["auto", "yes", "no"] = "auto",  # decode while training; auto: beyond 1 GiB of decoded images
    workers: int = 2,  # threads that decode
    recipe: str | None = None,  # a named set of options; --data digits selects the recipe of that name
    name: str | None = None,  # the folder of the run; else runs/FAMILY-DATA
    init: tuple[str, ...] = (),  # NET=FILE: weights (.safetensors, .pt) to start from; FILE alone with one net
    batch: int = 64,  # rows that a player sees in a turn, over all devices
    accumulate: int = 1,  # parts in which a turn's rows are computed, one after the other, for one update
    epochs: float = 10,  # length of the run in passes through the data
    steps: int | None = None,  # length in steps; replaces epochs
    seed: int = 0,  # of initial weights, order of the data and noise
    schedule: optim.Schedule = "constant",  # of the rate, down to 0 at the end of the run
    warmup: int = 0,  # steps in which the rate rises from 0
    clip: float = 0.0,  # largest norm of a player's gradient; 0 leaves it as it is
    ema: float = 0.0,  # decay of the running average of the weights; 0 keeps none
    ema_warmup: bool = False,  # its decay rises from 0.1: (1 + n) / (10 + n) in the step n, until it is as stated
    ema_widths: tuple[
        float, ...
    ] = (),  # of averages to choose from after training (jaxgen sample --ema-width): 0.05 0.1
    snapshot_every: int | None = None,  # steps between two times that these are stored; else a tenth of the run
    precision: precision.Policy = "float32",  # of products and convolutions; weights stay float32
    deterministic: bool = False,  # the same bits again, also on a GPU
    parallel: Literal["auto", "jit", "sharded", "pmap"] = "auto",  # one device or all; auto: all there are
    log_every: int = 50,  # steps between two lines of the log
    eval_every: int | None = None,  # steps between two evaluations on held-out data; else an epoch
    grid_every: int | None = None,  # steps between two grids of samples; else a tenth of the run
    save_every: int | None = None,  # steps between two checkpoints; else about two minutes
    tensorboard: bool = False,  # write the log for TensorBoard as well
    dry_run: bool = False,  # print the whole configuration, sizes and memory, and stop
):
    """The options that every run has; the signature is the list."""


def run(name: str, settled: dict[str, Any], optimizers=None, callback=None) -> Path:
    """A run whose every option is settled."""
    setup = Setup(name, settled, optimizers)
    folder = Run(settled["name"] or f"runs/{find.label(name)}-{setup.data.name}")
    if settled["dry_run"]:
        describe.describe(setup, folder, options)
        return folder.folder
    setup.check()
    folder.begin(setup)
    state, step = resumed(setup, folder)
    print(describe.line(setup, folder, step))
    if step < setup.plan.steps:
        Loop(setup, folder, state, step, callback).run()
    else:
        folder.draw_curves()  # a kill may have come between the last checkpoint and its curves
    return folder.folder


def resumed(setup, folder):
    """-> the newest state of the run, its step; an initial one where there is none."""
    step = checkpoint.latest(folder.checkpoints)
    folder.rewind(step or 0)
    if step is None:
        return initial.state(setup), 0
    return checkpoint.load(folder.checkpoints, step, setup.like), step
