"""Samplers that follow the probability-flow ODE of a denoiser (Song et al., 2021; Karras et al., 2022, eq. 4). For
every schedule the equation is the same in y = x / alpha and u = sigma / alpha, where dy/du is epsilon:

    dy/du = (y - denoise(y)) / u.

The step to the data (u = 0) is Euler's, whatever the others are: it ends at what the denoiser says."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.diffusion import ode
from jaxgen.diffusion.scan import kept, loop
from jaxgen.diffusion.schedules import Node, at_least_single
from jaxgen.errors import UserError


def flow(denoise):
    """-> slope(y, node) of a denoiser."""
    return lambda y, node: (y - denoise(y * node.alpha, node)) * (node.alpha / node.sigma)


def euler(denoise, x, path, noise=None, churn=0.0, frames=0):
    """First order, one look a step; without churn it is DDIM."""
    return stochastic(denoise, x, path, noise, churn, frames, second=0.0)


def heun(denoise, x, path, noise=None, churn=0.0, frames=0):
    """Second order, two looks a step: algorithms 1 and 2 of Karras et al. (2022)."""
    return stochastic(denoise, x, path, noise, churn, frames, second=0.5)


def rk4(denoise, x, path, noise=None, frames=0):
    """Fourth order, four looks a step. `path` has the points between as well, every other one, at the middle of its
    step in u; the last one is the data."""
    del noise
    refuse_no_data(path)
    some = len(kept(len(path.time) // 2, frames)) - 1 if frames else 0  # before the last one
    noisy, last = path[:-1], at_least_single(path[-2], x)
    y = ode.rk4(flow(denoise), scaled(x, path), noisy, noisy.ratio, some if some > 1 else 0)
    end = denoise((y[-1] if some > 1 else y) * last.alpha, last)
    if not frames:
        return end
    return jnp.concatenate([images(y, noisy[::2]) if some > 1 else x[None], end[None]])


def stochastic(denoise, x, path, noise, churn, frames, second, low=0.0, high=np.inf, inflate=1.0):
    """Where u lies in [low, high] noise is added before a step, so that u grows by 1 + min(churn / steps, sqrt 2 - 1);
    then a step of which the share `second` of the slope is that at its end."""
    refuse_no_data(path)
    steps, alpha = len(path.time) - 1, path.alpha
    if churn and not np.all(alpha == 1):
        raise UserError("churn: the points that it visits are known for x = x_0 + sigma epsilon alone; expected 0.")
    if churn and noise is None:
        raise UserError("this sampler adds noise: give `noise`, a function of the step.")
    u, end = path.ratio[:-1], path.ratio[1:]
    grow = np.where((low <= u) & (u <= high), min(churn / steps, 2**0.5 - 1), 0.0)
    raised = u * (1 + grow)
    now = Node(np.where(grow > 0, raised, path.time[:-1]), alpha[:-1], raised * alpha[:-1])
    # the denoiser is asked for the last point as well, where its answer does not count
    then = jax.tree.map(partial(np.where, end > 0), path[1:], now)
    table = {"h": end - raised, "second": np.where(end > 0, second, 0.0), "noise": inflate * np.sqrt(raised**2 - u**2)}
    i = jnp.arange(steps, dtype=jnp.int32)
    slope = flow(denoise)

    def step(carry, row):
        (y,), (now, then, row, i) = carry, row
        y = y + row["noise"] * noise(i) if churn else y
        first = slope(y, now)
        if not second:
            return (y + row["h"] * first,)
        other = slope(y + row["h"] * first, then)
        return (y + row["h"] * ((1 - row["second"]) * first + row["second"] * other),)

    rows = *at_least_single((now, then, table), x), i
    y = loop(step, (scaled(x, path),), rows, frames)
    return images(y, path) if frames else y


def images(y, path):
    """Frames (frames, N, ...) as x, each with the alpha of its point."""
    alpha = path.alpha[kept(len(path.time) - 1, len(y))]
    return y * at_least_single(alpha, y).reshape(-1, *[1] * (y.ndim - 1))


def scaled(x, path):
    return x / at_least_single(path.alpha[0], x)


def refuse_no_data(path):
    if path.alpha[0] == 0:
        raise UserError("this sampler divides by alpha, which is 0 at the first point. Use ancestral or ddim.")
