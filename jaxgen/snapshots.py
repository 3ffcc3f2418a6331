"""The stored averages of a run, snapshots/STEP/NET.WIDTH.safetensors, and the average of another width made of them."""

import shutil

import jax
import numpy as np

from jaxgen import averages
from jaxgen.errors import UserError, writing


def folder(run):
    return run.folder / "snapshots"


def write(run, state):
    """The averages of a state; the folder of a step has its name once it is whole."""
    place = folder(run) / f"{int(state.step):08d}"
    part = place.with_suffix(".part")
    with writing(run.folder):
        part.mkdir(parents=True, exist_ok=True)
        for name, nets in state.widths.items():
            run.write_weights(f".{name}", state.step, **nets, folder=part)
        shutil.rmtree(place, ignore_errors=True)
        part.replace(place)


def steps(run) -> list[int]:
    """Those that were stored."""
    return sorted(int(path.name) for path in folder(run).glob("*") if path.name.isdigit())


def read(run, width: float):
    """-> params, stats: the average of `width` after the last step that was stored, summed in float64."""
    if not (found := steps(run)):
        raise UserError(f"{run.folder}: has stored no averages to choose from. Train with --ema-widths 0.05 0.1.")
    stored = [(each, step) for step in found for each in run.config["settings"]["ema_widths"]]
    total = nets = None
    for (each, step), factor in zip(stored, averages.coefficients(stored, width, found[-1]), strict=True):
        nets = run.read_weights(f".{averages.name(each)}", folder(run) / f"{step:08d}")
        part = jax.tree.map(lambda x, factor=factor: factor * np.asarray(x, np.float64), nets)
        total = part if total is None else jax.tree.map(np.add, total, part)
    counted = lambda x: np.issubdtype(x.dtype, np.integer)  # as it was at last
    return jax.tree.map(lambda x, last: last if counted(last) else x.astype(last.dtype), total, nets)
