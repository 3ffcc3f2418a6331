"""A run taken apart, to go on with by hand: `jaxgen.load(run)`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import optax

from jaxgen import checkpoint, data, feed
from jaxgen.core import State
from jaxgen.errors import UserError
from jaxgen.functional import Functional
from jaxgen.run import Run
from jaxgen.setup import Setup


class Loaded(NamedTuple):
    """`step(state, batch(t), root)` is the pure step t of the run, `t` being `state.step`."""

    family: Functional  # init, apply, loss, draw, sample over plain dicts
    state: State  # step, params, stats, opt, ema: arrays only
    txs: dict[str, optax.GradientTransformation]  # {player: what it is optimised with}
    step: Callable[[State, dict[str, jax.Array], jax.Array], tuple[State, dict[str, jax.Array]]]
    batch: Callable[[int], dict[str, jax.Array]]  # of a step: a function of the run's seed and the step's number
    root: jax.Array  # the key of which every step makes its own


def load(run: str | Path, which: Literal["last", "best"] = "last", optimizers: dict[str, Any] | None = None) -> Loaded:
    """The family, the state and the functions of a run, from its last checkpoint or the one that ranks best.

    `optimizers` are those that the run was given, if any. The data are read when the first batch is asked for.

    >>> family, state, txs, step, batch, root = load("runs/vae-digits")  # doctest: +SKIP
    >>> state, metrics = jax.jit(step)(state, batch(int(state.step)), root)  # doctest: +SKIP
    """
    folder = Run(run)
    if folder.config["optimizers"] != "the family's" and not optimizers:
        raise UserError(f"{run}: its optimizers were given in Python. Give them again: load(run, optimizers=...).")
    if which not in ("last", "best"):
        raise UserError(f"which: expected last or best, got {which!r}.")
    config, best = folder.config, folder.best
    setup = Setup(config["family"], config["settings"], optimizers, config["decay_ends"])
    found = checkpoint.latest(folder.checkpoints) if which == "last" else best and best.step
    if found is None:
        raise UserError(f"{run}: has no {which} checkpoint: it is early, or no metric ranks its states.")
    state = checkpoint.load(folder.checkpoints, found, setup.like)

    def batch(step: int):
        given = data.scale(setup.train.take(np.asarray(setup.plan.rows(step))), setup.inputs)
        if setup.options["flip"]:
            given["image"] = feed.mirrored(given["image"], setup.root, step)
        return given

    return Loaded(setup.family, state, setup.txs, setup.step, batch, setup.root)
