"""Walks among codes: from one image to another, and along the dimensions. Each public function is an action."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from jaxgen.errors import UserError, one_of
from jaxgen.latent import opening, sheet
from jaxgen.latent.opening import decoded, encoded, levels

Course = Literal["linear", "spherical"]


def interpolate(
    source: str | Path,  # the folder of a run, a file of weights, or NET=FILE, several of them joined by commas
    out: str | Path | None = None,  # FILE.png, FILE.npz (array `frames`) or a FOLDER; else latent/interpolate.png
    count: int = 8,  # how many pairs of images, at most
    steps: int = 10,  # images of a row, both ends among them
    path: Course = "linear",  # from code to code; spherical: along a circle about the origin
    seed: int = 0,  # of which images they are
    **given: Any,
) -> dict[str, np.ndarray]:
    """From one image to another through their codes, a pair a row; its ends are the reconstructions: `frames` (N,
    steps, H, W, C), uint8."""
    one_of("path", path, Course)
    opening.at_least(1, count=count)
    opening.at_least(2, steps=steps)
    model, held = opening.opened(source, **given)
    opening.means(model, "interpolate")
    rows = opening.chosen(held, 2 * count, seed)
    if len(rows) < 2:
        raise UserError(f"{held.name}: interpolate takes two images, its part {held.split} has one.")
    sheet.ready(out, len(rows) // 2, steps)
    mean = encoded(model, held, rows[: len(rows) // 2 * 2])["mean"]
    between = {"linear": linear, "spherical": spherical}[path]
    frames = walked(model, np.stack([between(mean[::2], mean[1::2], t) for t in np.linspace(0, 1, steps)], 1))
    if out:
        sheet.write(out, frames)
        print(f"{out}: {len(frames):,} pairs of images of {held}, {steps} images from one to the other, {path}")
    return {"frames": frames}


def traverse(
    source: str | Path,  # the folder of a run, a file of weights, or NET=FILE, several of them joined by commas
    out: str | Path | None = None,  # FILE.png, FILE.npz (array `frames`) or a FOLDER; else latent/traverse.png
    rows: int = 10,  # dimensions of the code, at most, a row each
    steps: int = 11,  # images of a row: the dimension from -3 to 3, in standard deviations of the prior
    start: int | Literal["mean"] = 0,  # the row of the image whose code is changed; mean: the mean code of the data
    count: int = 1000,  # images, at most, that tell how much a dimension says
    seed: int = 0,  # of which they are
    **given: Any,
) -> dict[str, np.ndarray]:
    """What each dimension of the code does, those first that say most: `frames` (rows, steps, H, W, C), uint8, the
    `dimension` of each row, and `kl` (rows,), its mean KL divergence from the prior over the data, in nats."""
    opening.at_least(1, rows=rows)
    opening.at_least(2, steps=steps)
    model, held = opening.opened(source, **given)
    opening.means(model, "traverse")
    rows = min(rows, *model.code[0])
    sheet.ready(out, rows, steps)
    code = encoded(model, held, opening.chosen(held, count, seed))
    kl = divergence(**code)
    order = np.argsort(-kl, kind="stable")[:rows]
    values = np.linspace(-3, 3, steps)
    z = np.tile(begun(model, held, start, code["mean"]), (len(order), steps, 1))
    z[np.arange(len(order)), :, order] = values
    frames = walked(model, z)
    if out:
        top = [f"{value:+.1f}".replace("+0.0", "0") for value in values]
        words = dict(left=[f"z{i}   {kl[i]:.2f} nats" for i in order], top=top)
        sheet.write(out, frames, **words)
        told = ", ".join(f"z{i} {kl[i]:.2f}" for i in order)
        print(f"{out}: a dimension a row, from -3 to 3; mean KL in nats over {len(code['mean']):,} images: {told}")
    return {"frames": frames, "dimension": order, "kl": kl[order]}


def linear(a, b, t):
    return (1 - t) * a + t * b


def spherical(a, b, t):
    """Along the great circle (Shoemake, 1985), the length going from one to the other; a straight line where there is
    no angle between the two."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    angle = np.arccos(np.clip((a * b).sum(1) / np.where(norms > 0, norms, 1), -1, 1))[:, None]
    sine = np.sin(angle)
    bent = (sine > 1e-4) & (norms > 0)[:, None]
    circle = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.where(bent, sine, 1)
    return np.where(bent, circle, linear(a, b, t))


def divergence(mean, logvar):
    """The KL divergence of each dimension from the prior, in nats, a mean over the rows."""
    return 0.5 * (np.square(mean) + np.exp(logvar) - 1 - logvar).mean(0)


def begun(model, held, start, mean):
    """The code that is changed."""
    if start == "mean":
        return mean.mean(0)
    if not 0 <= start < len(held.images):
        raise UserError(f"start: expected a row from 0 to {len(held.images) - 1}, or mean; got {start}.")
    return encoded(model, held, np.array([start]))["mean"][0]


def walked(model, z):
    """Codes (N, steps, latent) -> images (N, steps, H, W, C), uint8."""
    flat = z.reshape(-1, z.shape[-1]).astype(model.image.dtype)
    made = np.concatenate([levels(model, some) for some in decoded(model, flat)])
    return made.reshape(*z.shape[:2], *made.shape[1:])
