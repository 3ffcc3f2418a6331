"""Orbax behind one thin door: the last checkpoints of a run, each whole or not there."""

import logging
from pathlib import Path

import jax
from orbax.checkpoint import v1 as ocp

from jaxgen.errors import StorageError

KEEP = 2


def opened(folder):
    """A step's folder counts only once its commit file is in it, so a run killed while saving loses nothing."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    atomic = ocp.options.AtomicityOptions(mode=ocp.options.AtomicityMode.COMMIT_FILE)
    keep = ocp.training.preservation_policies.LatestN(KEEP)
    always = ocp.training.save_decision_policies.FixedIntervalPolicy(1)
    return ocp.training.Checkpointer(
        Path(folder).absolute(),
        context=ocp.Context(atomicity_options=atomic),
        preservation_policy=keep,
        save_decision_policy=always,
    )


def save(folder, step: int, state):
    with opened(folder) as checkpointer:
        try:
            checkpointer.save(step, state, overwrite=True)
        except (OSError, ValueError) as error:  # Orbax reports a full disk as ValueError
            raise StorageError(f"{folder}: cannot save step {step} ({reason(error)}). Make room, run again.") from error


def latest(folder) -> int | None:
    """The step of the newest checkpoint."""
    if not Path(folder).is_dir():
        return None
    with opened(folder) as checkpointer:
        return checkpointer.latest.step if checkpointer.latest else None


def load(folder, step: int, like):
    """The state of `step`, on the first device; always with a target, without which Orbax changes tuples and integer
    keys."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    target = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), like)
    with opened(folder) as checkpointer:
        try:
            return checkpointer.load(step, target)
        except Exception as error:  # a damaged file raises many kinds
            told = f"{folder}: cannot read step {step} ({reason(error)})"
            raise StorageError(f"{told}. Remove {folder}/{step} to go on from the checkpoint before it.") from error


def reason(error):
    """The first line of what lies at the bottom; Orbax wraps it in pages of its own."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
