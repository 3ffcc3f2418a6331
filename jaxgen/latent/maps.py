"""`jaxgen latent RUN embed`: where the codes of images lie, in two dimensions."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxgen import images
from jaxgen.errors import UserError, needs
from jaxgen.latent import opening, sheet


def embed(
    source: str | Path,  # the folder of a run, a file of weights, or NET=FILE, several of them joined by commas
    out: str | Path | None = None,  # FILE.png, beside it FILE.npz; or the npz alone; else latent/embed.png
    count: int | None = None,  # how many images, at most; else all
    seed: int = 0,  # of which they are
    **given: Any,
) -> dict[str, np.ndarray]:
    """A map of the images by the means of their codes, of more than two dimensions by their two principal axes: arrays
    `position` (N, 2), `variance` (2,), the share of the whole that lies along each axis, and `label` where the data
    have labels."""
    model, held = opening.opened(source, **given)
    opening.means(model, "embed")
    path = checked(Path(out)) if out else None
    rows = opening.chosen(held, len(held.images) if count is None else count, seed)
    mean = opening.encoded(model, held, rows)["mean"]
    if mean.shape[1] < 2:
        raise UserError(f"{source}: its codes have one dimension, a map has two. Use traverse.")
    arrays = principal(mean) | held.labels(rows)
    if path:
        written(path, arrays, held.classes, mean.shape[1])
        first, second = arrays["variance"]
        told = f"{first:.1%} and {second:.1%} of the variance lie along its axes"
        print(f"{path}: a map of {len(rows):,} images of {held}; {told}")
    return arrays


def checked(path):
    if path.suffix not in (".png", ".npz"):
        raise UserError(f"{path}: expected FILE.png or FILE.npz.")
    if path.suffix == ".png":
        needs("matplotlib.figure", "plots")
    sheet.archive(path.with_suffix(".npz"))
    return path


def principal(mean):
    """Two dimensions as they are; of more the principal axes, each pointing where its largest number is positive."""
    centred = mean - mean.mean(0)
    if mean.shape[1] == 2:
        variance, position = np.square(centred).sum(0), mean
    else:
        _, lengths, axes = np.linalg.svd(centred.astype(np.float64), full_matrices=False)
        signs = np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1))
        axes = np.pad(axes * np.where(signs == 0, 1, signs), ((0, max(0, 2 - len(axes))), (0, 0)))
        position, variance = centred @ axes[:2].T, np.pad(np.square(lengths), (0, max(0, 2 - len(lengths))))
    share = variance / max(variance.sum(), np.finfo(np.float64).tiny)
    return {"position": position.astype(np.float32), "variance": share[:2].astype(np.float32)}


def written(path, arrays, classes, dimensions):
    sheet.write_arrays(path.with_suffix(".npz"), arrays)
    if path.suffix == ".png":
        shares = [f" ({share:.0%} of the variance)" for share in arrays["variance"]]
        names = ("z0", "z1") if dimensions == 2 else ("first principal axis", "second principal axis")
        titles = [name + share for name, share in zip(names, shares, strict=True)]
        with images.whole(path) as part:
            scatter(arrays["position"], arrays.get("label"), classes, titles).savefig(part, dpi=130)


def scatter(position, label, classes, titles):
    """A point an image, coloured by its label; a legend where there are few classes."""
    paper = needs("matplotlib.figure", "plots").Figure(figsize=(7.2, 6), layout="constrained")
    axes, style = paper.subplots(), dict(s=14, alpha=0.8, linewidths=0)
    named = label is not None and 0 < len(classes) <= 20
    if named:
        colours = needs("matplotlib", "plots").colormaps["tab10" if len(classes) <= 10 else "tab20"].colors
        for i in np.unique(label):
            axes.scatter(*position[label == i].T, color=colours[i], label=classes[i], **style)
        paper.legend(loc="outside right upper", frameon=False, markerscale=2)
    else:
        points = axes.scatter(*position.T, c=label, cmap=None if label is None else "viridis", **style)
        if label is not None:
            paper.colorbar(points, label="label")
    axes.set(xlabel=titles[0], ylabel=titles[1])
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return paper
