"""Data sets: where they are found, how they are fitted to a family, and which rows of them make the batch of a step.

loaded = data.load("digits")                        # name, train, test, classes
source = data.fit(loaded.train, family.inputs(64))  # the leaves that the family asks for, in its size
batch = data.scale(source.take(data.rows(len(source), 64, seed=0, step=0)), family.inputs(64))
"""

from difflib import get_close_matches
from pathlib import Path

from jaxgen.data import archives, builtin, folder
from jaxgen.data.builtin import BUILTIN, cache
from jaxgen.data.fitting import fit, fit_images, scale, scaled
from jaxgen.data.order import rows
from jaxgen.data.sources import Arrays, Data, held_out
from jaxgen.data.stream import ahead
from jaxgen.errors import UserError

__all__ = ["Arrays", "Data", "ahead", "cache", "fit", "fit_images", "held_out", "load", "rows", "scale", "scaled"]


def load(name: str, data_dir: str | None = None, workers: int | None = None) -> Data:
    """`digits`, `mnist`, `fashion_mnist` or `cifar10` (found in `data_dir`, $JAXGEN_DATA or the user's cache, else
    fetched), a folder of images (decoded by so many `workers`), a FILE.npz, an IDX file or a CIFAR-10 archive."""
    if name in BUILTIN:
        return builtin.load(name, data_dir)
    path = Path(name).expanduser()
    if path.is_dir():
        return folder.load(path, workers)
    if path.suffix == ".npz":
        return builtin.known(archives.npz(path))
    if path.name in archives.CIFAR10:
        return builtin.read("cifar10", path)
    if path.name.removesuffix(".gz") == archives.IDX[0]:
        name = "fashion_mnist" if "fashion" in str(path.resolve()).lower() else "mnist"
        return builtin.read(name, path.parent)
    raise unknown(name, path)


def unknown(name, path):
    """One line for a name that is neither a set nor a file that can be read."""
    if path.exists():
        kinds = f"{archives.IDX[0]}[.gz] or {' or '.join(archives.CIFAR10)}"
        return UserError(f"{name}: not a kind of data known here. Expected a FOLDER of images, a FILE.npz, {kinds}.")
    if near := get_close_matches(name.lower().replace("-", "_"), BUILTIN, 1):
        return UserError(f"unknown data {name!r}. Did you mean {near[0]}?")
    if path.parent != Path():
        return UserError(f"{name}: no such file or folder.")
    return UserError(f"unknown data {name!r}: expected {', '.join(BUILTIN)}, a FOLDER of images or a FILE.npz.")
