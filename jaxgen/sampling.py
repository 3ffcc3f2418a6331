"""Samples of a run or of files of weights: `jaxgen sample`, or `jaxgen.sample(...)`."""

import inspect
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import parallel, settings
from jaxgen import source as sources
from jaxgen.axis import NAME
from jaxgen.errors import Diverged, UserError
from jaxgen.images import writer

MOMENT = 1.0  # seconds without a progress bar
COLUMNS, MOST = 8, 32  # images of a class in a grid that nobody sized; classes that can have a row each


@overload
def sample(
    source: str | Path, count: int | None = ..., seed: int = ..., batch: int = ..., weights: sources.Weights = ...,
    out: None = ..., family: str | None = ..., frames: int = ..., ema_width: float | None = ...,
    labels: tuple[int, ...] = ..., **arguments: Any,
) -> np.ndarray: ...  # fmt: skip
@overload
def sample(
    source: str | Path, count: int | None = ..., seed: int = ..., batch: int = ..., weights: sources.Weights = ...,
    *, out: str | Path, family: str | None = ..., frames: int = ..., ema_width: float | None = ...,
    labels: tuple[int, ...] = ..., **arguments: Any,
) -> Path: ...  # fmt: skip
def sample(
    source: str | Path,  # the folder of a run, a file of weights, or NET=FILE, several of them joined by commas
    count: int | None = None,  # how many images; else 64, of classes 8 each, with frames 8
    seed: int = 0,  # of the noise; that of image i is the same for every count and batch
    batch: int = 100,  # how many are made in a call, over all devices
    weights: sources.Weights = "averaged",  # of a run; averaged: where there are some
    out: str | Path | None = None,  # FILE.png (a grid), FILE.npz (array `image`) or a FOLDER; else samples/seed_S.png
    family: str | None = None,  # whose weights a file from elsewhere holds; the family's arguments become options
    frames: int = 0,  # of each image on its way from noise: a row of the grid, array `frames`; else frames_S.png
    ema_width: float | None = None,  # of the average that is sampled, as a part of the run: made of those it has stored
    labels: tuple[int, ...] = (),  # of the images, again and again; a row of the grid each. Else each class in turn
    **arguments: Any,
) -> np.ndarray | Path:
    """Images (count, H, W, C), uint8, of the weights of a run or of a file, with frames (count, frames, H, W, C); with
    `out` they are written there, one batch after the other, and the path is returned."""
    opened = sources.opened(source, weights, family, arguments, ema_width)
    check_labels(opened.family, labels, source)
    lines = class_rows(opened.family, labels)
    count = (8 if frames else COLUMNS * lines if lines else 64) if count is None else count
    if count < 1 or batch < 1:
        raise UserError(f"count and batch: expected at least 1, got {count} and {batch}.")
    if frames and "frames" not in inspect.signature(opened.family.module.sample).parameters:
        raise UserError(f"{source}: its family makes an image at once; nothing is on the way. Leave out frames.")
    write = writer(Path(out), count, frames, lines) if out else None
    begun = time.perf_counter()
    batches = finite(stream(*opened, count, seed, batch, True, frames, tuple(labels)), source)
    with closing(watched(batches, count)) as made:
        if out is None or write is None:
            return np.concatenate(list(made))
        write(made)
    rate = count / (time.perf_counter() - begun)
    print(f"{out}: {count:,} images, {f'{rate:,.0f}' if rate >= 10 else f'{rate:.2g}'} images/s")
    return Path(out)


def images(family, params, stats, count, seed, batch):
    """(count, H, W, C) uint8, on one device, whatever the weights are worth."""
    return np.concatenate([x for x, _ in stream(family, params, stats, count, seed, batch)])


def class_rows(family, labels=()):
    """How many rows a grid has in which each is of one class; None where there are no classes, or too many."""
    count = len(labels) or getattr(family, "classes", 0)
    return count if 0 < count <= MOST else None


def check_labels(family, labels, source):
    classes = getattr(family, "classes", 0)
    if labels and not classes:
        raise UserError(f"{source}: its images have no classes. Leave out labels.")
    if odd := [label for label in labels if not 0 <= label < classes]:
        raise UserError(f"labels: expected 0 to {classes - 1}, the run's classes, got {odd[0]}.")


def stream(family, params, stats, count, seed, batch, split=False, frames=0, labels=()):
    """Batches of uint8 images with whether each is finite. The next batch is asked for before this one is given away,
    so that the device works while it is written."""
    devices = jax.device_count() if split else 1
    size = -(-min(batch, count) // devices) * devices  # one shape for all calls; what is too many is cut off
    params, stats = parallel.replicated((params, stats)) if devices > 1 else jax.device_put((params, stats))
    some, key = sampler(family, size, devices > 1, frames, labels), jax.random.key(seed)
    ask = lambda first: some(params, stats, key, first) if first < count else None
    now = ask(0)
    for first in range(0, count, size):
        following = ask(first + size)
        yield tuple(np.asarray(x)[: count - first] for x in now)
        now = following


@lru_cache(maxsize=4)
def sampler(family, rows, split, frames=0, labels=()):
    """One compiled function a family and batch, also where a run samples again and again."""
    value = family.inputs(rows)["image"]

    def some(params, stats, key, first):
        with jax.default_matmul_precision("highest"):  # else a GPU's images differ from a CPU's
            draws = family.draw_sample(key, rows, first=first)
            if labels:
                draws["label"] = jnp.asarray(labels)[(first + jnp.arange(rows)) % len(labels)]
            x = family.sample(params, stats, spread(draws, rows) if split else draws, frames)
        x = jnp.moveaxis(x, 0, 1) if frames else x
        levels = jnp.clip(jnp.round((x - value.low) / (value.high - value.low) * 255), 0, 255)
        return levels.astype(jnp.uint8), jnp.isfinite(x).all(axis=tuple(range(1, x.ndim)))

    return jax.jit(some, compiler_options=parallel.options())


def spread(draws, rows):
    """The draws' rows over all devices; the compiler takes what follows there too."""
    split = parallel.placed(NAME)
    put = lambda x: jax.lax.with_sharding_constraint(x, split) if x.shape[:1] == (rows,) else x
    return jax.tree.map(put, draws)


def finite(made, source) -> Iterator[np.ndarray]:
    first = 0
    for batch, fine in made:
        if not fine.all():
            what = f"{source}: image {first + int(fine.argmin())} is not finite"
            raise Diverged(f"{what}. The weights are of no use; take earlier ones.")
        first += len(batch)
        yield batch


def watched(batches, count) -> Generator[np.ndarray]:
    """The same batches; where a person looks on and it takes more than a moment, with a progress bar."""
    if not sys.stderr.isatty():
        yield from batches
        return
    from rich.console import Console
    from rich.progress import Progress

    begun, bar = time.perf_counter(), Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task("images", total=count)
    try:
        for batch in batches:
            yield batch
            bar.update(task, advance=len(batch))
            if time.perf_counter() - begun > MOMENT:
                bar.start()
    finally:
        bar.stop()


def options(cls=None, whole=True) -> tuple[dict[str, inspect.Parameter], dict[str, str]]:
    """The options of the command and what its help says of them, with the arguments of a family: all where weights are
    of no run, else those that change how images are sampled."""
    words = {"source": str, "out": str | None}
    own = {name: x.replace(annotation=words.get(name, x.annotation)) for name, x in settings.signature(sample).items()}
    del own["arguments"]
    theirs = {name: x for name, x in settings.signature(cls.__init__).items() if name != "self"} if cls else {}
    if not whole:
        theirs = {name: x for name, x in theirs.items() if name in getattr(cls, "sampling", ())}
    if twice := own.keys() & theirs.keys():
        raise UserError(f"{cls.__module__}: the option {min(twice)!r} has two meanings. Rename the family's argument.")
    return own | theirs, settings.comments(sample) | (settings.comments(cls.__init__) if cls else {})
