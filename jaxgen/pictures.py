"""Grids of samples and curves of losses as PNG."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from jaxgen.errors import needs


def to_uint8(images, low, high):
    """Values in [low, high] -> 0..255, what lies outside cut off."""
    return np.clip(np.round((np.asarray(images, np.float64) - low) / (high - low) * 255), 0, 255).astype(np.uint8)


def grid(images: np.ndarray, path, columns: int | None = None, gap: int = 2) -> Path:
    """uint8 (N, H, W, C) -> one picture; small images are enlarged so that their pixels can be seen. Channels that are
    neither gray nor colour stand side by side."""
    if images.shape[-1] not in (1, 3):
        images = np.concatenate(np.split(images, images.shape[-1], -1), 2)
    n, h, w, c = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    lines = -(-n // columns)
    sheet = np.full((lines * (h + gap) + gap, columns * (w + gap) + gap, c), 40, np.uint8)
    for i, image in enumerate(images):
        y, x = (i // columns) * (h + gap) + gap, (i % columns) * (w + gap) + gap
        sheet[y : y + h, x : x + w] = image
    picture = Image.fromarray(sheet.squeeze(-1) if c == 1 else sheet)
    times = max(1, 800 // max(picture.size))
    picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST).save(path)
    return Path(path)


def curves(log, path) -> Path:
    """log.jsonl -> one panel a metric."""
    figure = needs("matplotlib.figure", "plots")
    lines = [json.loads(line) for line in Path(log).read_text().splitlines()]
    names = [key for key in lines[0] if key not in ("step", "seconds")]
    sheet = figure.Figure(figsize=(4.2 * len(names), 3), layout="constrained")
    for axes, name in zip(np.atleast_1d(sheet.subplots(1, len(names))), names, strict=True):
        axes.plot([line["step"] for line in lines], [line[name] for line in lines], linewidth=1.2)
        axes.set(title=name.replace("_", " "), xlabel="step")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    sheet.savefig(path, dpi=120)
    return Path(path)
