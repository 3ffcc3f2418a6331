"""Where the results of an action go: arrays to an npz file, rows of images to a sheet with words beside them, to an npz
file or a folder."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jaxgen import images
from jaxgen.errors import UserError, writing

DARK, LIGHT = 40, 215  # gray of the gaps and of the words
GAP, WIDE = 2, 8  # pixels between images, and between groups of lines
LARGE = 1000  # pixels of a sheet's longer side, about


def ready(out, count, frames):
    """Refuses a place that cannot be written before anything is computed."""
    if out is not None:
        images.writer(Path(out), count, frames)


def write(out, frames: np.ndarray, **words):
    """Rows of images (N, frames, H, W, C) as a sheet, an npz file or a folder."""
    path = Path(out)
    if path.suffix == ".png" and not path.is_dir():
        with images.whole(path) as part:
            sheet(frames, **words).save(part)
    else:
        images.writer(path, len(frames), frames.shape[1])(iter([frames]))


def archive(out):
    """The path of an npz file, in a folder that is there."""
    path = Path(out)
    if path.suffix != ".npz":
        raise UserError(f"{out}: expected FILE.npz.")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_arrays(out, arrays):
    with images.whole(Path(out)) as part:
        np.savez_compressed(part, **arrays)


def sheet(frames: np.ndarray, left=(), top=(), group: int = 1) -> Image.Image:
    """uint8 (lines, columns, H, W, C) -> one picture: `left` and `top` are words beside lines and above columns, after
    every `group` lines there is a wider gap. Small images are enlarged so that their pixels can be seen."""
    frames = np.concatenate(np.split(frames, frames.shape[-1], -1), 3) if frames.shape[-1] not in (1, 3) else frames
    lines, columns, height, width, channels = frames.shape
    gaps = WIDE if group > 1 else GAP
    ys = [GAP + i * (height + GAP) + i // group * (gaps - GAP) for i in range(lines)]
    xs = [GAP + i * (width + GAP) for i in range(columns)]
    paper = np.full((ys[-1] + height + GAP, xs[-1] + width + GAP, channels), DARK, np.uint8)
    for y, line in zip(ys, frames, strict=True):
        for x, image in zip(xs, line, strict=True):
            paper[y : y + height, x : x + width] = image
    picture = Image.fromarray(paper.squeeze(-1) if channels == 1 else paper)
    times = max(1, LARGE // max(picture.size))
    picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    at = lambda words, places, length: [(word, times * (x + length / 2)) for word, x in zip(words, places, strict=True)]
    return worded(picture, at(left, ys, height) if left else [], at(top, xs, width) if top else [])


def worded(picture, left, top):
    """The picture with margins for [(word, where its middle is)] of the left and of the top."""
    if not left and not top:
        return picture
    size = max(16, picture.width // 60)
    font = ImageFont.load_default(size)
    margin = int(max(font.getlength(word) for word, _ in left)) + size if left else 0
    above = 2 * size if top else 0
    shade = lambda gray: gray if picture.mode == "L" else (gray,) * 3
    paper = Image.new(picture.mode, (picture.width + margin, picture.height + above), shade(DARK))
    paper.paste(picture, (margin, above))
    draw = ImageDraw.Draw(paper)
    for word, y in left:
        draw.text((margin - size // 2, above + y), word, shade(LIGHT), font, anchor="rm")
    for word, x in top:
        draw.text((margin + x, above / 2 + GAP), word, shade(LIGHT), font, anchor="mm")
    return paper
