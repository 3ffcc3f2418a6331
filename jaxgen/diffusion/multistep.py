"""Samplers that look at the data once a step, at x_0 = denoise(x, node): ancestral, DDIM, DPM-Solver++.

Each is a table of numbers, made in float64 on the host from the points that it visits, and all are one loop:

    x <- keep x + data x_0 + old (x_0 of the step before) + noise z."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxgen.diffusion.scan import loop
from jaxgen.diffusion.schedules import at_least_single
from jaxgen.errors import UserError


class Table(NamedTuple):
    """(steps,) each, float64."""

    keep: np.ndarray
    data: np.ndarray
    old: np.ndarray
    noise: np.ndarray


def ancestral(denoise, x, path, noise, variance: Literal["small", "large"] = "small", frames=0):
    """DDPM (Ho et al., 2020, algorithm 2) over the points of `path`, each step with the alpha-bar of the point it
    really goes to. `variance` is that of the posterior given x_0, or beta; the last step has none."""
    return run(ancestral_table(path, variance), denoise, x, path, noise, frames)


def ddim(denoise, x, path, noise=None, eta=0.0, frames=0):
    """DDIM (Song et al., 2021, eq. 12 and 16): `eta` 0 adds no noise and is Euler's method, 1 is `ancestral`."""
    return run(ddim_table(path, eta), denoise, x, path, noise, frames)


def dpmpp_2m(denoise, x, path, noise=None, frames=0):
    """DPM-Solver++(2M) (Lu et al., 2022, algorithm 2)."""
    del noise
    return run(dpmpp_table(path), denoise, x, path, None, frames)


def dpmpp_2m_sde(denoise, x, path, noise, frames=0):
    """Its form with noise, SDE-DPM-Solver++(2M) (Lu et al., 2022, appendix)."""
    return run(dpmpp_sde_table(path), denoise, x, path, noise, frames)


def run(table, denoise, x, path, noise=None, frames=0):
    """`noise(i)` is the z of step i, shaped as x; None where the table has none."""
    if noise is None and np.any(table.noise):
        raise UserError("this sampler adds noise: give `noise`, a function of the step.")
    rows = *at_least_single((table, path[:-1]), x), jnp.arange(len(table.keep), dtype=jnp.int32)

    def step(carry, row):
        (x, before), (now, node, i) = carry, row
        x_0 = denoise(x, node)
        x = now.keep * x + now.data * x_0 + now.old * before
        return (x if noise is None else x + now.noise * noise(i)), x_0

    return loop(step, (x, jnp.zeros_like(x)), rows, frames)


def jump(path):
    """-> points, the points after them, and the variance of the noise that one has over the other."""
    now, then = path[:-1], path[1:]
    if not np.all(now.sigma > 0):
        raise UserError(
            f"path: a point before the last has sigma {now.sigma.min():g}; expected noise at all but the data."
        )
    return now, then, now.sigma**2 - (now.alpha / then.alpha * then.sigma) ** 2


def ancestral_table(path, variance: Literal["small", "large"] = "small"):
    if variance not in ("small", "large"):
        raise UserError(f"variance: expected small or large, got {variance!r}.")
    now, then, added = jump(path)
    rest = (then.sigma / now.sigma) ** 2
    noise = np.sqrt(added * rest if variance == "small" else np.where(then.sigma > 0, added, 0))
    return Table(now.alpha / then.alpha * rest, then.alpha * added / now.sigma**2, 0 * noise, noise)


def ddim_table(path, eta=0.0):
    if not 0 <= eta <= 1:
        raise UserError(f"eta: expected 0 to 1, got {eta}.")
    now, then, added = jump(path)
    if eta and np.any(added < 0):
        raise UserError(f"eta {eta}: on the way to more noise none is added by hand; expected 0.")
    noise = eta * np.sqrt(np.maximum(added, 0)) * then.sigma / now.sigma
    keep = np.sqrt(then.sigma**2 - noise**2) / now.sigma
    return Table(keep, then.alpha - keep * now.alpha, 0 * keep, noise)


def dpmpp_table(path):
    """Of first order where there is no step before, or where the next point is the data."""
    now, then, _ = jump(path)
    data = then.alpha - then.sigma * now.alpha / now.sigma  # -alpha (e^-h - 1), h the step in log(alpha / sigma)
    old = -data * share_of_old(path)
    return Table(then.sigma / now.sigma, data - old, old, 0 * data)


def dpmpp_sde_table(path):
    now, then, _ = jump(path)
    shrink = (then.sigma * now.alpha / (now.sigma * then.alpha)) ** 2  # e^-2h
    data = then.alpha * (1 - shrink)
    old = -data * share_of_old(path)
    keep = then.sigma / now.sigma * np.sqrt(shrink)
    return Table(keep, data - old, old, then.sigma * np.sqrt(1 - shrink))


def share_of_old(path):
    """h / (2 h_before) for steps h in log(alpha / sigma); 0 for the first step and for one to the data."""
    with np.errstate(divide="ignore", invalid="ignore"):
        h = -np.diff(np.log(path.ratio))
        share = np.append(0, h[1:] / (2 * h[:-1]))
    return np.where(np.isfinite(h) & np.isfinite(share), share, 0)
