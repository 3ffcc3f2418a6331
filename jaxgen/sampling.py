"""Samples of a run: `jaxgen sample`, or `jaxgen.sample(...)`."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from jaxgen import pictures
from jaxgen.errors import UserError, writing
from jaxgen.run import Run


def sample(
    run: str,  # the folder of a run
    count: int = 64,  # how many images
    seed: int = 0,  # of the noise; that of image i is the same for every count and batch
    batch: int = 100,  # how many are made in a call
    weights: Literal["averaged", "raw"] = "averaged",  # averaged where there are some
    out: str | None = None,  # FILE.png (a grid) or FILE.npz (array `image`); else RUN/samples/seed_S.png
) -> np.ndarray:
    """Images (count, H, W, C), uint8, of the weights of a run, written to a file as well."""
    if count < 1 or batch < 1:
        raise UserError(f"count and batch: expected at least 1, got {count} and {batch}.")
    folder = Run(run)
    params, stats = folder.load_weights(weights == "averaged")
    made = images(folder.family, params, stats, count, seed, batch)
    path = Path(out or folder.folder / "samples" / f"seed_{seed}.png")
    if path.suffix not in (".png", ".npz"):
        raise UserError(f"{path}: expected FILE.png or FILE.npz.")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, image=made) if path.suffix == ".npz" else pictures.grid(made, path)
    print(f"{path}: {count} images")
    return made


def images(family, params, stats, count, seed, batch):
    """(count, H, W, C) uint8; every call makes `batch` images, of which the last may be too many."""
    key, image, some = jax.random.key(seed), family.inputs(batch)["image"], sampler(family, batch)
    made = [np.asarray(some(params, stats, key, first)) for first in range(0, count, batch)]
    return pictures.to_uint8(np.concatenate(made)[:count], image.low, image.high)


@lru_cache(maxsize=4)
def sampler(family, batch):
    """One compiled function a family and batch, also where a run samples again and again."""

    @jax.jit
    def some(params, stats, key, first):
        return family.sample(params, stats, family.draw_sample(key, batch, first=first))

    return some
