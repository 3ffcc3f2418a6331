"""Grids of samples and curves of losses as PNG."""

import itertools
import json
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from jaxgen.errors import needs


def to_uint8(images, low, high):
    """Values in [low, high] -> 0..255, what lies outside cut off."""
    return np.clip(np.round((np.asarray(images, np.float64) - low) / (high - low) * 255), 0, 255).astype(np.uint8)


def grid(images: np.ndarray, path, columns: int | None = None, gap: int = 2, rows: int | None = None) -> Path:
    """uint8 (N, H, W, C) -> one picture, filled row by row, or with `rows` column by column; small images are enlarged
    so that their pixels can be seen. Channels that are neither gray nor colour stand side by side."""
    if images.shape[-1] not in (1, 3):
        images = np.concatenate(np.split(images, images.shape[-1], -1), 2)
    n, h, w, c = images.shape
    columns = -(-n // rows) if rows else columns or int(np.ceil(np.sqrt(n)))
    lines = rows or -(-n // columns)
    sheet = np.full((lines * (h + gap) + gap, columns * (w + gap) + gap, c), 40, np.uint8)
    for i, image in enumerate(images):
        line, column = (i % rows, i // rows) if rows else divmod(i, columns)
        y, x = line * (h + gap) + gap, column * (w + gap) + gap
        sheet[y : y + h, x : x + w] = image
    picture = Image.fromarray(sheet.squeeze(-1) if c == 1 else sheet)
    times = max(1, 800 // max(picture.size))
    picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST).save(path)
    return Path(path)


def curves(log, path) -> Path | None:
    """log.jsonl -> one panel a metric; what was found on held-out data stands beside it."""
    lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
    return panels(lines, path, partial(draw, lines=lines))


def panels(lines, path, fill, legend=False) -> Path | None:
    """A panel each metric of these lines, losses first, with what `fill(axes, name)` draws; `legend`: one of all."""
    figure = needs("matplotlib.figure", "plots")
    names = {key.removeprefix("test_") for line in lines for key in line} - {"step", "seconds"}
    if not names:
        return None
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    sheet = figure.Figure(figsize=(4.2 * columns, 3 * rows + 0.3 * legend), layout="constrained")
    places = np.atleast_1d(sheet.subplots(rows, columns)).ravel()
    for axes, name in itertools.zip_longest(places, sorted(names, key=losses_first)):
        axes.set_visible(name is not None)
        if name:
            fill(axes, name)
            axes.set(title=name.replace("_", " "), xlabel="step")
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
    if legend:
        sheet.legend(*places[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    sheet.savefig(path, dpi=120)
    return Path(path)


def draw(axes, name, lines):
    for key, told in ((name, "training"), (f"test_{name}", "held out")):
        seen = [(line["step"], line[key]) for line in lines if key in line]
        # a few points are shown as points: a line through one of them cannot be seen
        if seen:
            mark = "." if len(seen) < 30 else None
            axes.plot(*zip(*seen, strict=True), linewidth=1.2, label=told, marker=mark)
    if len(axes.lines) > 1:
        axes.legend(frameon=False)


def losses_first(name):
    return "loss" not in name, name
