"""What a sampler makes of Gaussian data, exactly: no draws, no tolerance for chance.

The best denoiser of Gaussian data is linear, so whatever a sampler does with it, its output is a constant plus a matrix
times the start plus a matrix times the noise of each step. Reverse mode reads both off the sampler's own code."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.errors import UserError
from jaxgen.oracle.densities import Gaussian


class Moments(NamedTuple):
    """Of a Gaussian, elementwise; float64."""

    mean: np.ndarray
    std: np.ndarray


def moments(sampler, data, start=1.0, draws=1000):
    """The mean and the standard deviation of what `sampler` makes of `data` (an `oracle.Gaussian`), shaped as one x.

    `sampler(denoise, x, noise) -> x`: `x` (1, ...) is the start, of which `start` >= 0 is the standard deviation;
    `denoise(x, node) -> x_0` is exact, `node` having alpha and sigma; `noise(i) -> z`, shaped as x, for i < `draws`.
    It is traced, so long ways want a `lax.scan`. A NaN on the way is one in the result."""
    if not isinstance(data, Gaussian) or not start >= 0 or draws < 1:
        raise UserError(f"moments: expected a Gaussian, start >= 0, draws >= 1, got {data}, {start}, {draws}.")
    like = [(1, *data.shape), (draws + 1, 1, *data.shape)]
    run = lambda x, table: sampler(data.denoise, x, taken(table))
    # at nothing, and at another point, where the coefficients must be the same
    points = [np.stack([np.zeros(shape), np.random.default_rng(0).normal(size=shape)]) for shape in like]
    with jax.enable_x64(True):
        mean, gains = jax.jit(jax.vmap(partial(coefficients, run)))(*points)
    if not all(np.allclose(*gain, rtol=1e-4, atol=1e-6, equal_nan=True) for gain in gains):
        raise UserError("the sampler is not affine in its start and noise, so its moments are not exact: does it clip?")
    mean, (by_start, by_noise) = np.asarray(mean[0]), [np.asarray(gain[0], np.float64) for gain in gains]
    if np.any(np.abs(by_noise[:, -1]) > 0):
        raise UserError(f"the sampler asks for noise(i) beyond i = {draws - 1}. Give more draws.")
    variance = start**2 * (by_start**2).sum((1, 2)) + (by_noise**2).sum((1, 2))
    return Moments(mean.reshape(data.shape), np.sqrt(variance).reshape(data.shape))


def taken(table):
    """noise(i); of steps that the table does not know it is the last row, where that can be seen."""
    last = table.shape[0] - 1
    return lambda i: table[jnp.where((i < 0) | (i > last), last, i)]


def coefficients(run, x, table):
    """-> the output, and its derivatives by the start (D, 1, D) and by the noise (D, draws + 1, D)."""
    output, pull = jax.vjp(run, x, table)
    if not isinstance(output, jax.Array) or output.shape != x.shape:
        told = getattr(output, "shape", type(output).__name__)
        raise UserError(f"the sampler got an x of shape {x.shape} and gave {told}. Give back the last x, so shaped.")
    rows = jnp.eye(output.size, dtype=output.dtype).reshape(output.size, *output.shape)
    return output, [gain.reshape(output.size, gain.shape[1], -1) for gain in jax.vmap(pull)(rows)]
