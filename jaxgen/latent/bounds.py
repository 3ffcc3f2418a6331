"""`jaxgen latent RUN likelihood`: how probable held-out images are under the model."""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import parallel
from jaxgen.errors import UserError
from jaxgen.latent import opening, sheet


class Likelihood(NamedTuple):
    """Means over the rows in nats, each with its standard error."""

    elbo: float  # the negative evidence lower bound
    elbo_error: float
    estimate: float  # of the negative log-likelihood, by importance sampling: an upper bound in expectation
    estimate_error: float
    pixels: int  # values of an image, by which bits per dimension are counted
    rows: int
    samples: int  # of each row
    about: str

    def __str__(self):
        line = "  {:21s} {:9.3f} +- {:.3f} nats   {:.4f} bits per dimension".format
        bits = lambda nats: nats / self.pixels / np.log(2)
        first = line("negative ELBO", self.elbo, self.elbo_error, bits(self.elbo))
        second = line("importance-weighted", self.estimate, self.estimate_error, bits(self.estimate))
        return f"{self.about}\n{first}\n{second}"


def likelihood(
    source: str | Path,  # the folder of a run, a file of weights, or NET=FILE, several of them joined by commas
    samples: int = 100,  # codes of each image; the more, the closer the estimate
    count: int = 1000,  # images, at most
    seed: int = 0,  # of which they are, of the codes, and of what makes pixels 0 or 1 where training did
    out: str | Path | None = None,  # FILE.npz of each row's `elbo` and `estimate`, in nats
    **given: Any,
) -> Likelihood:
    """Negative ELBO and importance-weighted estimate (Burda et al., 2016) of -log p(x), in nats and in bits per
    dimension, each with its standard error over the rows."""
    opening.at_least(1, samples=samples)
    model, held = opening.opened(source, **given)
    opening.means(model, "likelihood")
    if not hasattr(model.family.module, "bound"):
        raise UserError(f"{source}: its family has no `bound`, so its likelihood is not known.")
    path = sheet.archive(out) if out else None
    rows = opening.chosen(held, count, seed)
    weights = log_weights(model, held, rows, samples, seed)
    each = {"elbo": -weights.mean(1), "estimate": np.log(samples) - np.logaddexp.reduce(weights, 1), "row": rows}
    if path:
        sheet.write_arrays(path, each)
        print(f"{path}: {', '.join(each)}")
    elbo, estimate = (mean_and_error(each[key]) for key in ("elbo", "estimate"))
    low, high = model.image.low, model.image.high
    pixels = f"0 or 1 by thresholds of seed {seed}" if binarised(model) else f"from {low:g} to {high:g}"
    about = f"{len(rows):,} images of {held}, {samples:,} codes each; pixels {pixels}"
    return Likelihood(*elbo, *estimate, int(np.prod(model.image.shape[1:])), len(rows), samples, about)


def mean_and_error(x) -> tuple[float, float]:
    return float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x))) if len(x) > 1 else float("nan")


def binarised(model):
    return getattr(model.family.module, "binarize", "none") == "dynamic"


def log_weights(model, held, rows, samples, seed):
    """(N, samples) float64: log p(x, z) - log q(z | x) of each code drawn, that is the bound of one code. Their mean is
    the evidence lower bound; the logarithm of the mean of their exponentials is the importance-weighted one."""
    run = jax.jit(partial(weighed, model, samples), compiler_options=parallel.options())
    found = []
    for first in range(0, len(rows), opening.ROWS):
        some = np.resize(rows[first : first + opening.ROWS], opening.ROWS)
        told = run(model.params, model.stats, jax.random.key(seed), opening.batch(model, held, some), some)
        found.append(np.asarray(told, np.float64).T[: len(rows) - first])
    opening.finite(model, "the bound of row", np.concatenate(found), rows)
    return np.concatenate(found)


def weighed(model, samples, params, stats, key, image, rows):
    """(samples, rows), one code of each row after the other. What is drawn for a row depends on the key and the row
    alone, and for more samples begins with that for fewer."""
    codes, thresholds = jax.random.split(key)
    eps = drawn(jax.random.normal, codes, rows, samples, *model.code[0]).astype(image.dtype)
    if binarised(model):
        image = (drawn(jax.random.uniform, thresholds, rows, *image.shape[1:]) < image).astype(image.dtype)

    def one(eps):
        with jax.default_matmul_precision("highest"):
            return model.family.apply(params, stats, image, eps[:, None], method="bound", train=False)[0]

    return jax.lax.map(one, jnp.moveaxis(eps, 1, 0))


def drawn(draw, key, rows, *shape):
    """(rows, *shape), of each row its own."""
    return jax.vmap(lambda row: draw(jax.random.fold_in(key, row), shape))(rows)
