"""Where a stream of images goes: one grid as PNG, an npz file, or a folder with a file an image. Each is written beside
its place and moved there when it is whole, so that nothing half-written stays. Frames of an image stand in a row."""

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from PIL import Image

from jaxgen import pictures
from jaxgen.errors import UserError, writing

MOST = 1024  # images of a grid; more cannot be looked at
WRITERS = 4  # threads that compress PNG files; Pillow lets them run side by side

Batches = Iterator[np.ndarray]  # uint8 (some, H, W, C), with frames (some, frames, H, W, C)


def writer(path: Path, count: int, frames: int = 0, rows: int | None = None) -> Callable[[Batches], None]:
    """The function that writes `count` images to `path`, a grid of so many `rows`; what cannot be written is refused
    before any is made."""
    kinds: dict[str, Callable[..., None]] = {
        ".png": partial(grid, None if frames else rows),
        ".npz": partial(npz, "frames" if frames else "image"),
        "": folder,
    }
    if not path.name or (path.suffix not in kinds and not path.is_dir()):
        raise UserError(f"{path}: expected FILE.png, FILE.npz or a FOLDER (a new one has no dot in its name).")
    if path.suffix == ".png" and (shown := count * max(1, frames)) > MOST:
        raise UserError(f"{path}: a grid has at most {MOST:,} images, got {shown:,}. Give a FOLDER or FILE.npz.")
    write = folder if path.is_dir() else kinds[path.suffix]
    if write is folder:
        refuse_full(path, "Choose a new one.")
        refuse_full(beside(path), "A sample was killed while it wrote there; remove it.")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return partial(write, path, count)


def refuse_full(path, advice):
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UserError(f"{path}: expected an empty folder, or none. {advice}")


def beside(path):
    """Where `path` is written until it is whole; the suffix stays, for it says what kind of file this is."""
    return path.with_name(f"{path.stem}.part{path.suffix}")


@contextmanager
def whole(path):
    """The place beside `path` to write to: moved to it at the end, removed if anything stops the writing."""
    part = beside(path)
    with writing(path):
        try:
            yield part
            if path.is_dir():
                path.rmdir()  # empty: not every system moves a folder onto another
            part.replace(path)
        except BaseException:  # Ctrl-C too
            remove(part) if part.is_dir() else part.unlink(missing_ok=True)
            raise


def remove(part):
    """A folder, also while threads finish the images that they are at: Ctrl-C twice does not wait for them."""
    for _ in range(100):
        shutil.rmtree(part, ignore_errors=True)
        if not part.exists():
            return
        time.sleep(0.01)


def grid(rows: int | None, path: Path, count: int, batches: Batches):
    with whole(path) as part:
        images = np.concatenate(list(batches))
        columns = images.shape[1] if images.ndim == 5 else None
        pictures.grid(images.reshape(-1, *images.shape[-3:]), part, columns, rows=rows)


def npz(name: str, path: Path, count: int, batches: Batches):
    """The array `name`, as numpy.savez_compressed names and orders it, one batch after the other. The level is the
    fastest: the next one is two thirds slower for files a tenth smaller."""
    with (
        whole(path) as part,
        ZipFile(part, "w", ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"{name}.npy", "w", force_zip64=True) as member,
    ):
        for i, batch in enumerate(batches):
            if i == 0:
                begin(member, (count, *batch.shape[1:]))
            member.write(batch.tobytes())


def begin(member: IO[bytes], shape):
    about = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(member, about)


def folder(path: Path, count: int, batches: Batches):
    """000000.png, 000001.png, ...: as many digits as the last one needs, at least six."""
    digits = max(6, len(str(count - 1)))
    with whole(path) as part, ThreadPoolExecutor(WRITERS) as pool:
        part.mkdir(exist_ok=True)
        first = 0
        for batch in batches:
            names = [part / f"{i:0{digits}d}.png" for i in range(first, first + len(batch))]
            list(pool.map(png, batch, names))
            first += len(batch)


def png(image, path):
    """One image, or its frames in a row; channels that are neither gray nor colour stand side by side."""
    image = np.concatenate(image, 1) if image.ndim == 4 else image
    if image.shape[-1] not in (1, 3):
        image = np.concatenate(np.split(image, image.shape[-1], -1), 1)
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(path)
