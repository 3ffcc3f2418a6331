"""One run of a sweep as an ordinary run: its folder, its weights, its log, its checkpoint."""

import json
from pathlib import Path

import jax

from jaxgen import checkpoint
from jaxgen.errors import UserError, writing
from jaxgen.run import Run, replace
from jaxgen.setup import Setup
from jaxgen.sweeping import folder as folders
from jaxgen.sweeping import listed
from jaxgen.sweeping.loop import at
from jaxgen.sweeping.program import Runs


def take(
    run: str | Path,  # the folder of a sweep
    index: int,  # of the run, as the report numbers them
    name: str | None = None,  # the folder of the run that is taken out; else that of the sweep and the index
) -> Path:
    """Take a run out of a sweep: a folder that `jaxgen sample`, `latent` and `train` understand.

    >>> take("runs/vae-digits-sweep", 3)  # doctest: +SKIP
    """
    sweep = Run(run)
    sweep.config = config = folders.read(sweep)
    if not 0 <= index < len(config["runs"]):
        raise UserError(f"index {index}: {run} has the runs 0 to {len(config['runs']) - 1}.")
    taken = Run(name or f"{sweep.folder}-{index}")
    if taken.folder.exists() and any(taken.folder.iterdir()):
        raise UserError(f"{taken.folder}: is there already. Choose another --name.")
    state = at(stacked(sweep, config), index)
    write(taken, alone(config, index, taken), state, lines(sweep, index))
    print(f"{taken.folder}: run {index} of {sweep.folder} ({listed.named(config['runs'][index])})")
    if (odd := folders.diverged(sweep)[index]) is not None:
        print(f"run {index} diverged at step {odd}; this is its state of step {int(state.step)}")
    return taken.folder


def stacked(sweep, config):
    """The newest states of all runs."""
    if (step := checkpoint.latest(sweep.checkpoints)) is None:
        raise UserError(f"{sweep.folder}: has no checkpoint yet: it is early.")
    setup = Setup(config["family"], config["settings"], decay_ends=config["decay_ends"])
    return checkpoint.load(sweep.checkpoints, step, Runs(setup, config["runs"]).like)


def alone(config, index, taken):
    """The config of that run, as jaxgen train would have written it."""
    settings = config["settings"] | config["runs"][index] | {"name": str(taken.folder)}
    kept = {key: x for key, x in config.items() if key not in ("runs", "lists")}
    return kept | {"settings": settings}


def lines(sweep, index):
    """The log of that run, until it diverged."""
    for line in sweep.lines:
        mine = {key: x[index] if isinstance(x, list) else x for key, x in line.items()}
        if "diverged" not in mine and None not in mine.values():
            yield json.dumps(mine) + "\n"


def write(taken, config, state, log):
    """The checkpoint comes last, so that what is there is whole."""
    with writing(taken.folder):
        (taken.folder / "samples").mkdir(parents=True, exist_ok=True)
        replace(taken.folder / "config.json", json.dumps(config, indent=2) + "\n")
        replace(taken.folder / "log.jsonl", "".join(log))
    taken.save_weights(jax.device_get(state))
    checkpoint.save(taken.checkpoints, int(state.step), state)
    taken.draw_curves()
