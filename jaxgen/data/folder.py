"""A folder of images: `train/` and `test/` where there are both, sub-folders as classes, captions beside the images or
in metadata.jsonl. Headers are read at the start, pixels when they are needed."""

import os
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from jaxgen.data import checks, pixels
from jaxgen.data.captions import captions
from jaxgen.data.sources import Data, held_out
from jaxgen.data.stream import spread
from jaxgen.errors import UserError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


@dataclass(frozen=True, eq=False)
class Files:
    """Images that are decoded when they are taken."""

    folder: Path
    names: list[str]  # below the folder
    headers: list[pixels.Header]
    leaves: dict[str, np.ndarray] = field(default_factory=dict)  # all but the images
    captions: np.ndarray | None = None  # of Python strings
    target: pixels.Target | None = None
    workers: int = 1

    def __len__(self):
        return len(self.names)

    def keys(self):
        return ("image", *self.leaves)

    @property
    def where(self):
        return str(self.folder)

    @property
    def nbytes(self):
        """Of everything, decoded; known once the size is."""
        t = self.target
        image = t.height * t.width * t.channels if t else 0
        return len(self) * image + sum(x.nbytes for x in self.leaves.values())

    def take(self, rows) -> dict[str, np.ndarray]:
        """Rows of any shape, in front of that of a row; a row that is asked for twice is decoded once."""
        rows = np.asarray(rows)
        taken = {key: x[rows] for key, x in self.leaves.items()}
        if (t := self.target) is None:
            return taken
        once, places = np.unique(rows, return_inverse=True)
        twice = len(once) < rows.size
        once = once if twice else rows.ravel()  # as they come, which spares a copy of them all
        images = np.empty((len(once), t.height, t.width, t.channels), np.uint8)

        def one(i: int):
            images[i] = decoded(self.folder / self.names[once[i]], t)

        spread(one, len(once), self.workers)
        placed = images[places] if twice else images
        return {"image": placed.reshape(*rows.shape, *images.shape[1:]), **taken}

    def whole(self) -> dict[str, np.ndarray]:
        return self.take(np.arange(len(self)))

    def part(self, rows):
        """A source of these rows alone."""
        leaves = {key: x[rows] for key, x in self.leaves.items()}
        captions = None if self.captions is None else self.captions[rows]
        names, headers = ([x[i] for i in rows] for x in (self.names, self.headers))
        return replace(self, names=names, headers=headers, leaves=leaves, captions=captions)

    def fitted(self, keys, target):
        """A source of these leaves, images as `target` says; what does not fit is named before anything is decoded."""
        if target and not target.convert:
            checks.same(self.folder, self.names, self.headers)
        for name, header in zip(self.names, self.headers, strict=True) if target else ():
            if header.kind != "L" and (header.kind, target.channels) != ("RGB", 3):
                checks.colours(self.folder / name, header.kind, target)
            if (header.height, header.width) != (target.height, target.width):
                checks.size(self.folder / name, header.width, header.height, target)
        return replace(self, leaves={key: self.leaves[key] for key in keys if key != "image"}, target=target)


def decoded(path, target):
    """An image, or one line that names the file: what Pillow raises has many kinds."""
    try:
        return pixels.decode(path, target)
    except Exception as error:
        raise UserError(unreadable(path, error)) from error


def unreadable(path, error):
    cause = "no image, or a damaged one" if isinstance(error, UnidentifiedImageError) else error
    return f"{path}: cannot be read ({' '.join(str(cause).split())}). Mend or remove it."


def load(folder: Path, workers: int | None = None) -> Data:
    """The data set of a folder."""
    workers = workers or min(16, os.cpu_count() or 1)
    name = folder.resolve().name
    if not all((folder / part).is_dir() for part in ("train", "test")):
        source, classes = labelled(scan(folder, workers))
        return held_out(name, source, classes=classes, where=str(folder))
    train, classes = labelled(scan(folder / "train", workers))
    test, _ = labelled(scan(folder / "test", workers), classes) if classes else (scan(folder / "test", workers), ())
    return Data(name, train, test, classes, where=str(folder))


def scan(folder, workers):
    """The source of all images below, every header read."""
    names = listed(folder)
    if not names:
        raise UserError(f"{folder}: expected images ({' '.join(sorted(SUFFIXES))}), found none.")
    headers = [None] * len(names)

    def one(i):
        try:
            headers[i] = pixels.header(folder / names[i])
        except Exception as error:  # of many kinds
            headers[i] = error

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        spread(one, len(names), workers)
    if bad := [i for i, header in enumerate(headers) if isinstance(header, Exception)]:
        more = f" So are {len(bad) - 1} more." if len(bad) > 1 else ""
        raise UserError(unreadable(folder / names[bad[0]], headers[bad[0]]) + more) from headers[bad[0]]
    return Files(folder, names, headers, captions=captions(folder, names), workers=workers)


def listed(folder):
    """Images below a folder, sorted; links are followed but not in circles, hidden folders and files are skipped."""
    names = []
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if name[0] != "." and not circular(os.path.join(place, name))]
        below = Path(place).relative_to(folder)
        images = [name for name in files if name[0] != "." and Path(name).suffix.lower() in SUFFIXES]
        names += [(below / name).as_posix() for name in images]
    return sorted(names)


def circular(place):
    """Whether a link leads back to a folder that it lies in."""
    return os.path.islink(place) and Path(place).resolve() in Path(place).parent.resolve().joinpath("_").parents


def labelled(source, classes=()):
    """The top sub-folder of each image is its class, where every image lies in one and there are two or more."""
    tops = [name.partition("/")[0] if "/" in name else "" for name in source.names]
    found = sorted(set(tops))
    if not classes and (len(found) < 2 or "" in found):
        return source, ()
    number = {name: i for i, name in enumerate(classes or found)}
    for top, name in zip(tops, source.names, strict=True):
        if top not in number:
            expected = ", ".join(f"{known}/" for known in classes)
            raise UserError(
                f"{source.folder / name}: expected a class folder as in train ({expected}), got {top or 'none'}."
            )
    labels = np.array([number[top] for top in tops], np.int32)
    return replace(source, leaves={"label": labels}), tuple(number)
