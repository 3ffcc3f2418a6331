"""What every action starts from: a model that has codes, and rows of a data set in the form that it asks for."""

import inspect
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxgen import data as sets
from jaxgen import find, parallel, pictures
from jaxgen import source as sources
from jaxgen.errors import Diverged, UserError, one_of
from jaxgen.functional import Functional
from jaxgen.run import Run

ROWS = 100  # of a call: always as many, so that no number depends on how many are asked for
Split = Literal["test", "train"]
Resize = Literal["none", "crop", "stretch"]


class Model(NamedTuple):
    """A family with codes, its weights, and what it was opened from."""

    source: str | Path
    family: Functional
    params: dict[str, Any]
    stats: dict[str, Any]

    @property
    def image(self):
        return self.family.inputs(1)["image"]

    @property
    def code(self):
        """The shape of one code, and whether it is of whole numbers (and not the mean and log-variance of one)."""
        one = jax.ShapeDtypeStruct(self.image.shape, self.image.dtype)
        found = jax.eval_shape(lambda *x: self.family.apply(*x, method="encode", train=False)[0], *self[2:], one)
        whole = not isinstance(found, (tuple, list))
        return (found if whole else found[0]).shape[1:], whole

    def calls(self, method: str, count: int, rows) -> Iterator[Any]:
        """What `method` says of `rows(first, last)` up to `count`, always as many rows in a call."""
        run = compiled(self.family, method)
        for first in range(0, count, ROWS):
            some = rows(first, min(first + ROWS, count))
            full = np.concatenate([some, np.repeat(some[:1], ROWS - len(some), 0)])
            told = jax.device_get(run(self.params, self.stats, full))
            yield cut(told, len(some))


class Held(NamedTuple):
    """One part of a data set."""

    name: str
    split: str
    images: Any  # a source of images alone
    label: np.ndarray | None
    classes: tuple[str, ...]

    def __str__(self):
        return f"{self.name}, {'held out' if self.split == 'test' else 'of the training'}"

    def labels(self, rows) -> dict[str, np.ndarray]:
        """{"label"} of these rows, where there are labels."""
        return {} if self.label is None else {"label": self.label[rows]}


def cut(told, count):
    return jax.tree.map(lambda x: x[:count], told)


@lru_cache(maxsize=4)
def compiled(family, method):
    def run(params, stats, x):
        with jax.default_matmul_precision("highest"):  # else a GPU's numbers differ from a CPU's
            return family.apply(params, stats, x, method=method, train=False)[0]

    return jax.jit(run, compiler_options=parallel.options())


def model(
    source: str | Path,  # the folder of a run, a file of weights, or NET=FILE, several of them joined by commas
    weights: sources.Weights = "averaged",  # of a run; averaged: where there are some
    family: str | None = None,  # whose weights a file from elsewhere holds; the family's arguments become options
    **arguments: Any,
) -> Model:
    """A model that has codes."""
    opened = sources.opened(source, weights, family, arguments)
    if not hasattr(opened.family.module, "encode"):
        name = Path(inspect.getfile(type(opened.family.module))).stem
        known = ", ".join(name for name in find.names() if hasattr(find.family(name), "encode"))
        raise UserError(f"{source}: an image has no code in {name}. Families with codes: {known}.")
    return Model(source, *opened)


def opened(
    source: str | Path,
    data: str | None = None,  # a set by its name, a FOLDER of images or a FILE.npz; else that of the run
    split: Split = "test",  # which part of it; test: what was held out
    data_dir: str | None = None,  # where a built-in set lies; else as in training
    resize: Resize = "none",  # images of your own to the model's size; else as in training
    convert: bool = False,  # images of your own to gray or colour; else as in training
    weights: sources.Weights = "averaged",  # of a run; averaged: where there are some
    family: str | None = None,  # whose weights a file from elsewhere holds; the family's arguments become options
    **arguments: Any,
) -> tuple[Model, Held]:
    """A model that has codes, and images for it: of the run's own data, or of others in their form."""
    one_of("split", split, Split)
    one_of("resize", resize, Resize)
    if data is None and sources.is_files(source):
        raise UserError(f"{source}: a file of weights does not say its data. Give --data.")
    found = model(source, weights, family, **arguments)
    own = {} if sources.is_files(source) else Run(source).config["settings"]
    loaded = sets.load(data or own["data"], data_dir or own.get("data_dir"), own.get("workers"))
    how = (resize if resize != "none" else own.get("resize", "none"), convert or own.get("convert", False))
    part = loaded.test if split == "test" else loaded.train
    if not len(part):
        raise UserError(f"{loaded.name}: its part {split} has no images. Give --split, or more images.")
    images = sets.fit(part, {"image": found.image}, *how)
    return found, Held(loaded.name, split, images, part.leaves.get("label"), loaded.classes)


def at_least(least, **values):
    for name, value in values.items():
        if value is not None and not value >= least:
            raise UserError(f"{name}: expected at least {least}, got {value}.")


def means(model, action):
    """Refuses what whole numbers have no meaning for: there is nothing between two of them."""
    if model.code[1]:
        can = "encode, decode and reconstruct"
        raise UserError(f"{model.source}: its codes are whole numbers, of no use for {action}. There are {can}.")


def chosen(held, count, seed):
    """Rows in an order of `seed`, at most `count`: the first of them are the same for every count."""
    at_least(0, seed=seed)
    at_least(1, count=count)
    return np.random.default_rng(seed).permutation(len(held.images))[:count]


def batch(model, held, rows):
    """These images, in the family's range."""
    return np.asarray(sets.scale(held.images.take(rows), {"image": model.image})["image"])


def encoded(model, held, rows) -> dict[str, np.ndarray]:
    """{"mean", "logvar"} or {"codes"} of these rows."""
    parts = list(model.calls("encode", len(rows), lambda first, last: batch(model, held, rows[first:last])))
    if model.code[1]:
        return {"codes": np.concatenate(parts)}
    found = dict(zip(("mean", "logvar"), map(np.concatenate, zip(*parts, strict=True)), strict=True))
    finite(model, "the code of row", np.concatenate(list(found.values()), 1), rows)
    return found


def decoded(model, codes) -> Iterator[np.ndarray]:
    """Batches of images, in the family's range."""
    first = 0
    for some in model.calls("decode", len(codes), lambda first, last: codes[first:last]):
        finite(model, "image", some, np.arange(first, first + len(some)))
        first += len(some)
        yield some


def finite(model, what, x, rows):
    fine = np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
    if not fine.all():
        row = rows[int(fine.argmin())]
        raise Diverged(f"{model.source}: {what} {row} is not finite. The weights are of no use; take earlier ones.")


def levels(model, images) -> np.ndarray:
    """uint8 of images in the family's range."""
    return pictures.to_uint8(images, model.image.low, model.image.high)
