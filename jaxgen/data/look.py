"""What a data set holds: `jaxgen data NAME`."""

from pathlib import Path

import numpy as np

from jaxgen import data as sets
from jaxgen import pictures
from jaxgen.data import pixels
from jaxgen.errors import UserError, writing

LARGEST = 96  # pixels of an image in the preview
MOST = 20  # classes that get a row each
WIDEST = 16  # images in such a row


def data(
    name: str,  # digits, mnist, fashion_mnist, cifar10, a FOLDER of images, or a FILE.npz
    data_dir: str | None = None,  # where a built-in set lies; else $JAXGEN_DATA, else the user's cache folder
    out: str | None = None,  # FILE.png of the preview; else data-NAME.png
    count: int = 100,  # images in the preview, at most
) -> sets.Data:
    """Size, shapes, classes and values of a data set, and a picture of its first images."""
    if count < 1:
        raise UserError(f"count: expected at least 1, got {count}.")
    loaded = sets.load(name, data_dir)
    path = Path(out or f"data-{loaded.name}.png")
    if path.suffix != ".png":
        raise UserError(f"{path}: expected FILE.png.")
    print(described(loaded), flush=True)
    columns, images = preview(loaded, count)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures.grid(images, path, columns)
    rows = ", one class a row" if by_class(loaded) else ""
    print(f"  preview    {path}: the first images{rows}")
    return loaded


def described(loaded):
    """Aligned lines: a word, and what is to be said of it."""
    lines = [
        ("found in", loaded.where),
        ("train", f"{len(loaded.train):,} images"),
        ("test", f"{len(loaded.test):,} images"),
    ]
    lines += in_files(loaded.train) if hasattr(loaded.train, "headers") else in_memory(loaded.train)
    lines += classes(loaded) if "label" in loaded.train.keys() else [("classes", "none")]
    if loaded.train.captions is not None:
        lines.append(("captions", f"one an image, the first: {shortened(loaded.train.captions[0])}"))
    lines.append(("mirrored", "still one of the set" if loaded.flips else "not one of the set: never flipped"))
    return "\n".join([loaded.name, *(f"  {word:10s} {told}" for word, told in lines)])


def in_memory(source):
    lines = []
    for key in sorted(source.keys(), key=lambda key: (key != "image", key)):
        x = source[key]
        if key == "image":
            height, width, channels = x.shape[1:]
            lines.append((key, f"{width} x {height} pixels, {colour(channels)}, {x.dtype}, {x.min():g} to {x.max():g}"))
        elif key != "label":
            lines.append((key, f"{x.dtype} {x.shape}, {x.min():g} to {x.max():g}"))
    return lines


def in_files(source):
    """What the headers say; values are those of 8 bits."""
    sizes = sorted({(header.width, header.height) for header in source.headers})
    kinds = sorted({header.kind for header in source.headers})
    names = ", ".join(colour({"L": 1, "RGB": 3}.get(kind, kind)) for kind in kinds)
    least, most = (f"{width} x {height}" for width, height in (sizes[0], sizes[-1]))
    size = f"{least} pixels" if len(sizes) == 1 else f"{len(sizes):,} sizes from {least} to {most} pixels"
    return [("image", f"{size}, {names}, files decoded as uint8, 0 to 255")]


def colour(channels):
    return {1: "gray", 3: "colour", "RGBA": "transparency"}.get(channels, str(channels))


def classes(loaded):
    """A line a class: how many images of each part, aligned."""
    names = loaded.classes
    counts = [
        np.bincount(part.leaves["label"], minlength=len(names)) if names else () for part in (loaded.train, loaded.test)
    ]
    wide = max(map(len, (*names, f"{len(names):,}")))
    lines = [
        ("classes", f"{len(names):<{wide},}    train     test" if names else "labels that are no count of classes")
    ]
    for i, name in enumerate(names[:MOST]):
        lines.append(("", f"{name:{wide}s} {counts[0][i]:>8,} {counts[1][i]:>8,}"))
    return lines + ([("", f"and {len(names) - MOST:,} more")] if len(names) > MOST else [])


def shortened(text, most=70):
    text = " ".join(text.split())
    return repr(text if len(text) <= most else text[: most - 3] + "...")


def by_class(loaded):
    return "label" in loaded.train.keys() and 2 <= len(loaded.classes) <= MOST


def preview(loaded, count):
    """-> columns of the grid (None: square), the first images of every class, or the first of all."""
    source = loaded.train
    if not by_class(loaded):
        return None, shown(source, np.arange(min(count, len(source))))
    most = min(WIDEST, max(1, count // len(loaded.classes)))
    rows = [np.flatnonzero(source.leaves["label"] == i)[:most] for i in range(len(loaded.classes))]
    columns = max(map(len, rows))
    images = shown(source, np.concatenate(rows))
    blank = np.full((1, *images.shape[1:]), 40, np.uint8)  # the colour of the gaps
    filled = []
    for some in np.split(images, np.cumsum([len(x) for x in rows])[:-1]):
        filled += [some, np.repeat(blank, columns - len(some), 0)]
    return columns, np.concatenate(filled)


def shown(source, rows):
    """uint8 images of these rows, small enough for a grid."""
    part = source.part(rows)
    if hasattr(part, "headers"):
        heights, widths = (np.median([header[i] for header in part.headers]) for i in (1, 0))
        channels = 1 if all(header.kind == "L" for header in part.headers) else 3
    else:
        heights, widths, channels = part["image"].shape[1:]
        if part["image"].dtype != np.uint8:
            return pictures.to_uint8(part["image"], 0, 1)
    times = min(1, LARGEST / max(heights, widths))
    target = pixels.Target(max(1, int(heights * times)), max(1, int(widths * times)), channels, "crop", True)
    return part.fitted(("image",), target).whole()["image"]
