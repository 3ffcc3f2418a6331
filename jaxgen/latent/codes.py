"""Images to codes and back. Each public function is an action of `jaxgen latent`, found by its name."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxgen import images as places
from jaxgen.data import checks
from jaxgen.data.archives import reading
from jaxgen.errors import UserError
from jaxgen.latent import opening, sheet
from jaxgen.latent.opening import decoded, encoded, levels

LINE = 16  # images side by side, and their reconstructions below them


def encode(
    source: str | Path,  # the folder of a run, a file of weights, or NET=FILE, several of them joined by commas
    out: str | Path | None = None,  # FILE.npz; else latent/encode.npz
    count: int | None = None,  # the first so many rows; else all
    **given: Any,
) -> dict[str, np.ndarray]:
    """The codes of images: arrays `mean` and `logvar` (N, latent), or `codes` of whole numbers (N, h, w); and `label`
    where the data have labels."""
    opening.at_least(1, count=count)
    model, held = opening.opened(source, **given)
    path = sheet.archive(out) if out else None
    rows = np.arange(len(held.images))[:count]
    arrays = encoded(model, held, rows) | held.labels(rows)
    if path:
        sheet.write_arrays(path, arrays)
        print(f"{path}: {', '.join(arrays)} of {len(rows):,} images of {held}")
    return arrays


def decode(
    source: str | Path,  # the folder of a run, a file of weights, or NET=FILE, several of them joined by commas
    codes: str | Path | np.ndarray,  # FILE.npz with an array `z` or `mean` (N, latent), or `codes` (N, h, w)
    out: str | Path | None = None,  # FILE.png (a grid), FILE.npz (array `image`) or a FOLDER; else latent/decode.png
    **given: Any,
) -> np.ndarray | Path:
    """Images (N, H, W, C), uint8, of codes; with `out` they are written there, one batch after the other, and the path
    is returned."""
    model = opening.model(source, **given)
    array = checked(model, *(read(model, codes) if isinstance(codes, (str, Path)) else ("codes", np.asarray(codes))))
    write = places.writer(Path(out), len(array)) if out else None
    made = (levels(model, some) for some in decoded(model, array))
    if out is None or write is None:
        return np.concatenate(list(made))
    write(made)
    print(f"{out}: {len(array):,} images")
    return Path(out)


def read(model, file):
    """-> where, array: the one of a file that holds codes of this kind."""
    names = ("codes",) if model.code[1] else ("z", "mean")
    with reading(Path(file), "npz file"), np.load(file) as arrays:
        if name := next((name for name in names if name in arrays.files), ""):
            return f"{file}: {name}", arrays[name]
        raise UserError(f"{file}: expected an array {' or '.join(names)}, got {', '.join(arrays.files) or 'none'}.")


def checked(model, where, x):
    """Codes of the model's shape: finite numbers, or whole ones of its table."""
    shape, whole = model.code
    if x.shape[1:] != shape or not len(x) or x.dtype.kind not in ("iu" if whole else "fiu"):
        expected = f"{'whole numbers' if whole else 'numbers'} (N, {', '.join(map(str, shape))})"
        raise UserError(f"{where}: expected {expected}, got {x.dtype} {x.shape}.")
    if not whole:
        checks.finite(where, "it", x)
        return x.astype(model.image.dtype)
    most = table(model.family.module)
    if not 0 <= x.min() <= x.max() < most:
        raise UserError(f"{where}: expected codes from 0 to {most - 1}, got {x.min()} to {x.max()}.")
    return x.astype(np.int32)


def table(module):
    """How many codes there are: a number beyond would pass for the last one."""
    codebook = getattr(getattr(module, "vae", None), "codebook", None)
    return getattr(codebook, "count", np.iinfo(np.int32).max)


def reconstruct(
    source: str | Path,  # the folder of a run, a file of weights, or NET=FILE, several of them joined by commas
    out: str | Path | None = None,  # FILE.png, FILE.npz (array `frames`) or a FOLDER; else latent/reconstruct.png
    count: int = 64,  # how many images, at most
    seed: int = 0,  # of which they are
    **given: Any,
) -> dict[str, np.ndarray]:
    """Images and, below each, what the model makes of its code: `frames` (N, 2, H, W, C), uint8, and `error` (N,), the
    mean squared error a pixel, of pixels from 0 to 1."""
    model, held = opening.opened(source, **given)
    rows = opening.chosen(held, count, seed)
    sheet.ready(out, len(rows), 2)
    code, images = encoded(model, held, rows), opening.batch(model, held, rows)
    made = np.concatenate(list(decoded(model, code["codes" if model.code[1] else "mean"])))
    error = np.square((images - made) / (model.image.high - model.image.low)).mean(axis=(1, 2, 3))
    frames = np.stack([levels(model, images), levels(model, made)], 1)
    if out:
        drawn(out, frames)
        told = f"mean squared error a pixel {error.mean():.5f} (pixels from 0 to 1)"
        print(f"{out}: {len(rows):,} images of {held}, each above its reconstruction; {told}")
    return {"frames": frames, "error": error}


def drawn(out, frames):
    """A sheet has a line of images, below it a line of reconstructions, and again; elsewhere each has its own row."""
    if Path(out).suffix != ".png":
        return sheet.write(out, frames)
    columns = min(LINE, len(frames))
    blank = np.full((-len(frames) % columns, *frames.shape[1:]), sheet.DARK, np.uint8)
    lines = np.concatenate([frames, blank]).reshape(-1, columns, *frames.shape[1:]).swapaxes(1, 2)
    lines = lines.reshape(-1, columns, *frames.shape[2:])
    sheet.write(out, lines, left=["data", "model"] * (len(lines) // 2), group=2)
