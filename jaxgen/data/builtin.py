"""The sets known by name: found on this machine, else fetched once and checked by hash."""

import os
from pathlib import Path

import numpy as np

from jaxgen.data import archives, fetching
from jaxgen.data.sources import Arrays, Data, held_out
from jaxgen.errors import needs

DIGITS = tuple("0123456789")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLASSES = {"mnist": DIGITS, "fashion_mnist": FASHION, "cifar10": CIFAR}
SHAPES = {"mnist": (28, 28, 1), "fashion_mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
BUILTIN = ("digits", *CLASSES)
FOLDERS = {"mnist": ("mnist", "MNIST/raw"), "fashion_mnist": ("fashion_mnist", "FashionMNIST/raw")}


def load(name: str, data_dir: str | None) -> Data:
    """A set by its name: a NAME.npz, the IDX files or the archive in `data_dir`, $JAXGEN_DATA or the cache, or fetched
    into the cache."""
    if name == "digits":
        return digits()
    places = [Path(place).expanduser() for place in (data_dir, os.environ.get("JAXGEN_DATA"), cache()) if place]
    for place in places:
        if path := found(name, place):
            return read(name, path)
    return read(name, fetching.fetch(name, cache()))


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "jaxgen")


def found(name, place):
    """The file, or the folder of IDX files, that holds the set; None where there is none."""
    if (npz := place / f"{name}.npz").is_file():
        return npz
    if name == "cifar10":
        return next((place / file for file in archives.CIFAR10 if (place / file).is_file()), None)
    for folder in (place / folder for folder in FOLDERS[name]):
        if all((folder / file).is_file() or (folder / f"{file}.gz").is_file() for file in archives.IDX):
            return folder
    return None


def read(name, path):
    if path.suffix == ".npz":
        return known(archives.npz(path))
    return labelled(name, *(archives.cifar10 if name == "cifar10" else archives.idx)(path), path)


def known(data: Data) -> Data:
    """A file named as a built-in set and shaped like it is that set; others get the names of their classes."""
    if data.name in CLASSES and data.train["image"].shape[1:] == SHAPES[data.name] and "label" in data.train.keys():
        return labelled(data.name, data.train.leaves, data.test.leaves, data.where)
    labels = [part["label"] for part in (data.train, data.test) if "label" in part.keys()]
    least = min((int(x.min()) for x in labels if len(x)), default=-1)
    most = max((int(x.max()) for x in labels if len(x)), default=-1)
    counted = 0 <= least and most < len(data.train)  # else the numbers are no count of classes
    return data._replace(classes=tuple(str(i) for i in range(most + 1))) if counted else data


def labelled(name, train, test, path):
    """A built-in set from its arrays."""
    return Data(name, Arrays(train, name), Arrays(test, name), CLASSES[name], flips=name != "mnist", where=str(path))


def digits():
    """1797 handwritten digits (Alpaydin and Kaynak, UCI; in scikit-learn), a fixed tenth held out. Their 8 pixels are
    filled to the edge; with a margin of 2 a digit takes as much of its image as MNIST's do."""
    bunch = needs("sklearn.datasets", "demo").load_digits()
    images = np.pad(np.round(bunch.images * (255 / 16)).astype(np.uint8), ((0, 0), (2, 2), (2, 2)))[..., None]
    source = Arrays({"image": images, "label": bunch.target.astype(np.int32)}, "digits")
    return held_out("digits", source, classes=DIGITS, flips=False, where="scikit-learn")
