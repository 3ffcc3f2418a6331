"""The texts of a folder of images: metadata.jsonl as Hugging Face lays it out, or x.txt beside x.png."""

import json
from pathlib import Path

import numpy as np

from jaxgen.errors import UserError


def captions(folder: Path, names: list[str]) -> np.ndarray | None:
    """One Python string an image; None where there are no texts at all."""
    told = metadata(folder / "metadata.jsonl") or beside(folder, names)
    if not told:
        return None
    if absent := [name for name in names if name not in told]:
        count = f"{len(names) - len(absent):,} of {len(names):,} images have one"
        raise UserError(f"{folder / absent[0]}: has no caption, but {count}. Add it, or remove the others.")
    texts = np.empty(len(names), object)
    texts[:] = [told[name] for name in names]
    return texts


def beside(folder, names):
    """{image: text} of the .txt files beside images."""
    paths = {name: (folder / name).with_suffix(".txt") for name in names}
    return {name: text(path).strip() for name, path in paths.items() if path.is_file()}


def metadata(path):
    """{image: text} of the lines that have a text; without the file, none."""
    told = {}
    for number, line in enumerate(text(path).splitlines() if path.is_file() else (), 1):
        try:
            row = json.loads(line) if line.strip() else {}
            if "text" in row:
                told[Path(row["file_name"]).as_posix()] = str(row["text"]).strip()
        except (ValueError, KeyError, TypeError) as error:
            expected = '{"file_name": ..., "text": ...}'
            raise UserError(f"{path}: line {number}: expected {expected}, got {line[:80]!r}.") from error
    return told


def text(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error}). Save it again.") from error
