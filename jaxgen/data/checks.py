"""What images and other leaves have to be: one line for each way in which they are not."""

import numpy as np

from jaxgen.errors import UserError

NAMES = {"L": "gray (L)", "RGB": "colour (RGB)", "RGBA": "transparency (RGBA)"}


def size(where, width, height, target, own=True, dtype=np.uint8):
    """Images of a user's own are resized when that was asked for; those of fractions never."""
    choose = f" or choose the family's --size {width}" if width == height else ""
    sizes = f"{where}: expected {target.width} x {target.height} pixels, got {width} x {height}."
    if dtype != np.uint8:
        raise UserError(f"{sizes} Only uint8 images are resized: save them so{choose and ','}{choose}.")
    if own and target.resize == "none":
        raise UserError(f"{sizes} Add --resize crop (or stretch){choose and ','}{choose}.")


def colours(where, kind, target, dtype=np.uint8):
    """Colour, transparency and 16 bits are given up when that was asked for."""
    expected = "colour (RGB)" if target.channels == 3 else "gray (L)"
    sizes = f"{where}: expected {expected}, got {NAMES.get(kind, kind)}."
    choose = ", or choose the family's --channels 3" if kind == "RGB" else ""
    if dtype != np.uint8:
        raise UserError(f"{sizes} Only uint8 images are converted: save them so{choose}.")
    if not target.convert:
        raise UserError(f"{sizes} Add --convert{choose or ', or save it again'}.")


def same(folder, names, headers):
    """A folder is gray or coloured throughout."""
    for name, header in zip(names, headers, strict=True):
        if header.kind != headers[0].kind:
            expected = f"{NAMES.get(headers[0].kind, headers[0].kind)} as {names[0]}"
            fix = "Add --convert, or save it again"
            raise UserError(f"{folder / name}: expected {expected}, got {header.kind}. {fix}.")


def images(where, x):
    """(N, H, W, 1 or 3): uint8 as they are, fractions of 1 as float32."""
    if x.ndim not in (3, 4) or not x.size:
        raise UserError(f"{where}: expected images uint8 (N, H, W[, C]), got {x.dtype} {x.shape}.")
    if x.ndim == 4 and x.shape[-1] not in (1, 3):
        raise UserError(f"{where}: expected 1 or 3 channels on the last axis, got {x.shape}.")
    finite(where, "image", x)
    if x.dtype != np.uint8 and not (x.dtype.kind == "f" and 0 <= x.min() and x.max() <= 1):
        got = f"{x.dtype} {x.min():g} to {x.max():g}" if x.dtype.kind in "iuf" else f"{x.dtype}"
        raise UserError(f"{where}: expected uint8 0..255 or float 0..1, got {got}.")
    return x.astype(np.uint8 if x.dtype == np.uint8 else np.float32, copy=False).reshape(*x.shape[:3], -1)


def labels(where, x, count):
    """int32 (N,)."""
    x = x[:, 0] if x.shape == (count, 1) else x  # as Keras stores those of CIFAR-10
    if x.shape != (count,) or x.dtype.kind not in "iu":
        raise UserError(f"{where}: expected {count} whole labels, got {x.dtype} {x.shape}.")
    return x.astype(np.int32)


def finite(where, key, x):
    """No NaN, no infinity."""
    if x.dtype.kind == "f" and not (good := np.isfinite(x)).all():
        bad = np.argwhere(~good)
        first = ", ".join(str(i) for i in bad[0])
        raise UserError(f"{where}: {key} has {len(bad)} values that are not finite, the first at [{first}].")


def leaf(where, key, x, expected):
    """Whole numbers within the range, rows of the shape that the family asks for."""
    if x.shape[1:] != tuple(expected.shape[1:]):
        raise UserError(f"{where}: {key}: expected rows of shape {tuple(expected.shape[1:])}, got {x.shape[1:]}.")
    whole = np.issubdtype(np.dtype(expected.dtype), np.integer)
    if whole and len(x) and not (expected.low <= x.min() and x.max() <= expected.high):
        got = f"{x.min()} to {x.max()}"
        raise UserError(f"{key}: expected values {expected.low:g} to {expected.high:g}, got {got}.")
