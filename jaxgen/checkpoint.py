"""Orbax behind one thin door: the last checkpoints of a run and the best one, each whole or not there."""

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
from orbax.checkpoint import v1 as ocp

from jaxgen.errors import StorageError, UserError

KEEP = 2
RANK = "rank"  # the metric by which the best is known; lower is better


class Best(NamedTuple):
    """The step that ranks best so far; its state where it is not on the disk yet."""

    step: int
    rank: float
    state: Any = None


def opened(folder):
    """A step's folder counts only once its commit file is in it, so a run killed while saving loses nothing."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    atomic = ocp.options.AtomicityOptions(mode=ocp.options.AtomicityMode.COMMIT_FILE)
    policies = ocp.training.preservation_policies
    best = policies.BestN(get_metric_fn=lambda m: -m[RANK], n=1, keep_checkpoints_without_metrics=False)
    always = ocp.training.save_decision_policies.FixedIntervalPolicy(1)
    return ocp.training.Checkpointer(
        Path(folder).absolute(),
        context=ocp.Context(atomicity_options=atomic),
        preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(KEEP), best]),
        save_decision_policy=always,
    )


def save(folder, step: int, state, rank: float | None = None):
    with saving(folder, step, state, rank):
        pass


@contextmanager
def saving(folder, step: int, state, rank: float | None = None):
    """The state is written in the background while the body runs; behind it, it is whole."""
    metrics = None if rank is None else {RANK: rank}
    with opened(folder) as checkpointer:
        with writable(folder, step):
            under_way = checkpointer.save_async(step, state, overwrite=True, metrics=metrics)
        yield
        with writable(folder, step):
            under_way.result()


@contextmanager
def writable(folder, step):
    try:
        yield
    except (OSError, ValueError) as error:  # Orbax reports a full disk as ValueError
        raise StorageError(f"{folder}: cannot save step {step} ({reason(error)}). Make room, run again.") from error


def listed(folder):
    """The checkpoints that are whole."""
    if not Path(folder).is_dir():
        return []
    with opened(folder) as checkpointer:
        return list(checkpointer.checkpoints)


def steps(folder) -> list[int]:
    return [found.step for found in listed(folder)]


def latest(folder) -> int | None:
    """The step of the newest checkpoint."""
    return max(steps(folder), default=None)


def best(folder) -> Best | None:
    """The one that ranks best, where the family names the metric that ranks."""
    ranked = [Best(found.step, found.metrics[RANK]) for found in listed(folder) if found.metrics]
    return min(ranked, key=lambda found: found.rank, default=None)


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
            if "structure" in told:  # it is whole, and of something else
                raise UserError(f"{told}. It was made with other optimizers or another version; give those.") from error
            raise StorageError(f"{told}. Remove {folder}/{step} to go on from the checkpoint before it.") from error


def reason(error):
    """The first line of what lies at the bottom; Orbax wraps it in pages of its own."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
