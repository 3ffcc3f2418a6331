"""What a sampler makes of Gaussian data, exactly: no draws, no tolerance for chance.

The best denoiser of Gaussian data is linear, so whatever a sampler does with it, its output is a constant plus a matrix
times the start plus a matrix times the noise of each step. Reverse mode reads both off the sampler's own code."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.errors import UserError


class Moments(NamedTuple):
    """Of a Gaussian, elementwise; float64."""

    mean: np.ndarray
    std: np.ndarray


def moments(sampler, data, start=1.0, draws=1000):
    """The mean and the standard deviation of what `sampler` gives on `data` (an `oracle.Gaussian`), each shaped as one x.

    `sampler(denoise, x, noise) -> x`: `x` (1, ...) is the start, of which `start` is the standard deviation;
    `denoise(x, node) -> x_0` is exact, `node` having alpha and sigma; `noise(i) -> z`, shaped as x, for i < `draws`."""
    with jax.enable_x64(True):
        like = [(1, *data.shape), (draws, 1, *data.shape)]
        run = lambda at, table: sampler(data.denoise, at, taken(table))
        # at nothing, and at another point, where the coefficients must be the same
        points = [jnp.stack([jnp.zeros(shape), jax.random.normal(jax.random.key(0), shape)]) for shape in like]
        mean, gains = jax.jit(jax.vmap(partial(coefficients, run)))(*points)
        if not all(np.allclose(*gain, rtol=1e-4, atol=1e-6, equal_nan=True) for gain in gains):
            raise UserError("the sampler is not affine in its start and noise, so its moments are not exact: a clip?")
        variance = start**2 * (gains[0][0] ** 2).sum(1) + (gains[1][0] ** 2).sum(1)
        return Moments(*(np.asarray(value).reshape(data.shape) for value in (mean[0], variance**0.5)))


def taken(table):
    """noise(i); of a step past the table none is known."""
    return lambda i: table.at[i].get(mode="fill", fill_value=np.nan)


def coefficients(run, at, table):
    """-> the output; its (D, D) derivatives by the start and (D, draws D) by the noise."""
    output, pull = jax.vjp(run, at, table)
    if not isinstance(output, jax.Array) or output.shape != at.shape:
        told = getattr(output, "shape", type(output).__name__)
        raise UserError(f"the sampler got an x of shape {at.shape} and gave {told}. Give back the last x, so shaped.")
    rows = jnp.eye(output.size, dtype=output.dtype).reshape(output.size, *output.shape)
    return output, [gain.reshape(output.size, -1) for gain in jax.vmap(pull)(rows)]
