"""Orbax behind one thin door: the last checkpoints of a run, each whole or not there."""

import logging
from pathlib import Path

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
            reason = str(error).splitlines()[0]
            raise StorageError(f"{folder}: cannot save step {step} ({reason}). Free space and run again.") from error


def latest(folder) -> int | None:
    """The step of the newest checkpoint."""
    if not Path(folder).is_dir():
        return None
    with opened(folder) as checkpointer:
        return checkpointer.latest.step if checkpointer.latest else None


def load(folder, step: int, like):
    """The state of `step`; always with a target, without which Orbax changes tuples and integer keys."""
    with opened(folder) as checkpointer:
        try:
            return checkpointer.load(step, like)
        except Exception as error:  # a damaged file raises many kinds
            reason = str(error).splitlines()[0]
            raise StorageError(f"{folder}: step {step} cannot be read ({reason}). Remove it to go back.") from error
