"""Data sets as uint8 arrays, and which rows of them make the batch of a step."""

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxgen.errors import UserError, needs


class Data(NamedTuple):
    """`train` and `test`: {"image": uint8 (N, H, W, C), "label": int32 (N,) where there are labels}."""

    name: str
    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray]


def load(name: str, folder: str | None = None) -> Data:
    """`digits` (scikit-learn's, 8 pixels with a margin), `mnist` (a mnist.npz in `folder`, else in $JAXGEN_DATA, else
    in the user's cache), or a FILE.npz: arrays x_train, y_train, x_test, y_test, or image and label; images are uint8
    (N, H, W) or (N, H, W, C)."""
    if name == "digits":
        return digits()
    if name == "mnist":
        return from_npz("mnist", found("mnist.npz", folder))
    if name.endswith(".npz"):
        return from_npz(Path(name).stem, Path(name))
    raise UserError(f"unknown data {name!r}: expected digits, mnist or a FILE.npz.")


def found(file, folder):
    places = [folder] if folder else [os.environ.get("JAXGEN_DATA"), cache()]
    for place in filter(None, places):
        if Path(place, file).is_file():
            return Path(place, file)
    looked = ", ".join(str(place) for place in filter(None, places))
    raise UserError(f"{file}: not found in {looked}. Put the Keras file there, or name its folder with --data-dir.")


def cache():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "jaxgen")


def digits():
    """1797 handwritten digits (Alpaydin and Kaynak, UCI; in scikit-learn), a fixed tenth held out. Their 8 pixels are
    filled to the edge; with a margin of 2 a digit takes as much of its image as MNIST's do."""
    bunch = needs("sklearn.datasets", "demo").load_digits()
    images = np.pad(np.round(bunch.images * (255 / 16)).astype(np.uint8), ((0, 0), (2, 2), (2, 2)))[..., None]
    return held_out("digits", {"image": images, "label": bunch.target.astype(np.int32)})


def held_out(name, arrays):
    order = np.random.default_rng(0).permutation(len(arrays["image"]))
    test, train = np.split(order, [len(order) // 10])
    return Data(name, *({key: x[np.sort(rows)] for key, x in arrays.items()} for rows in (train, test)))


def from_npz(name, path):
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    try:
        with np.load(path) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:  # a damaged archive raises many kinds
        raise UserError(f"{path}: not a readable npz file ({error}).") from error
    if arrays.keys() >= {"x_train", "y_train", "x_test", "y_test"}:
        parts = ({"image": arrays[f"x_{part}"], "label": arrays[f"y_{part}"]} for part in ("train", "test"))
        return Data(name, *(checked(path, part) for part in parts))
    if "image" in arrays:
        return held_out(name, checked(path, {key: arrays[key] for key in ("image", "label") if key in arrays}))
    raise UserError(f"{path}: expected arrays x_train, y_train, x_test, y_test, or image; got {sorted(arrays)}.")


def checked(path, arrays):
    """Images as (N, H, W, C) uint8, labels as int32, as many as images."""
    images = arrays["image"]
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or not len(images):
        raise UserError(f"{path}: expected images uint8 (N, H, W[, C]), got {images.dtype} {images.shape}.")
    if images.ndim == 4 and images.shape[-1] not in (1, 3):
        raise UserError(f"{path}: expected 1 or 3 channels on the last axis, got {images.shape}.")
    arrays = {**arrays, "image": images.reshape(*images.shape[:3], -1)}
    if "label" in arrays:
        labels = arrays["label"]
        if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
            raise UserError(f"{path}: expected {len(images)} whole labels, got {labels.dtype} {labels.shape}.")
        arrays["label"] = labels.astype(np.int32)
    return arrays


def fit(arrays: dict[str, np.ndarray], inputs) -> dict[str, np.ndarray]:
    """The leaves that a family asks for, images in its size (Pillow's bilinear, as torchvision's Resize) and number of
    channels (gray repeated)."""
    if absent := sorted(inputs.keys() - arrays.keys()):
        raise UserError(f"the family needs {', '.join(absent)}, the data has {', '.join(sorted(arrays))}.")
    fitted = {key: arrays[key] for key in inputs}
    if "image" in inputs:
        fitted["image"] = fit_images(arrays["image"], *inputs["image"].shape[1:])
    for key, x in fitted.items():
        expected = inputs[key]
        whole = np.issubdtype(np.dtype(expected.dtype), np.integer)
        if whole and not (expected.low <= x.min() and x.max() <= expected.high):
            got = f"{x.min()} to {x.max()}"
            raise UserError(f"{key}: expected values {expected.low:g} to {expected.high:g}, got {got}.")
    return fitted


def fit_images(images, height, width, channels):
    if images.shape[1:3] != (height, width):
        resize = lambda x: np.asarray(
            Image.fromarray(x.squeeze(-1) if x.shape[-1] == 1 else x).resize((width, height), 2)
        )
        images = np.stack([resize(x) for x in images]).reshape(len(images), height, width, -1)
    if images.shape[-1] == 1:
        images = np.repeat(images, channels, -1)
    if images.shape[-1] != channels:
        raise UserError(f"images: expected {channels} channels, got {images.shape[-1]}. Set --channels.")
    return images


def rows(length: int, count: int, seed: int, step: int) -> np.ndarray:
    """The `count` rows of step `step`: a function of (seed, step), each epoch a permutation, of which the
    incomplete last batch is dropped."""
    epoch, place = divmod(step, length // count)
    return order(length, seed, epoch)[place * count : (place + 1) * count]


@lru_cache(maxsize=2)
def order(length, seed, epoch):
    return np.random.default_rng([seed, epoch]).permutation(length).astype(np.int32)


def scaled(arrays, inputs, rows):
    """The batch of these rows, on the device: uint8 becomes the family's range, all else its dtype."""

    def take(key, x):
        low, high, dtype = inputs[key].low, inputs[key].high, inputs[key].dtype
        x = x[rows]
        return low + (high - low) / 255 * x.astype(dtype) if x.dtype == np.uint8 else x.astype(dtype)

    return {key: take(key, x) for key, x in arrays.items()}
