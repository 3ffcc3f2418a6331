"""UniPC (Zhao et al., 2023), of second order, with B(h) = e^h - 1 and a look at the data once a step.

It predicts as DPM-Solver++(2M) does. What the network says at the predicted point serves twice: the point itself is
corrected with it (third order), and the next one is predicted from there."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxgen.diffusion import multistep
from jaxgen.diffusion.scan import loop
from jaxgen.diffusion.schedules import at_least_single


class Correction(NamedTuple):
    """(steps,) each, float64: x <- keep (x of the point before, corrected) + told x_0 + data (x_0 of the point before)
    + old (that of the one before it)."""

    keep: np.ndarray
    told: np.ndarray
    data: np.ndarray
    old: np.ndarray


def unipc(denoise, x, path, noise=None, frames=0):
    """UniPC-2 with data prediction (Zhao et al., 2023). It costs what `dpmpp_2m` costs, a look a step."""
    del noise
    return run((correction_table(path), multistep.dpmpp_table(path)), denoise, x, path, frames)


def run(tables, denoise, x, path, frames=0):
    """The images on the way are the predicted ones: nobody looks at the last point, so nothing corrects it."""
    rows = at_least_single((*tables, path[:-1]), x)

    def step(carry, row):
        (x, corrected, before, earlier), (c, p, node) = carry, row
        x_0 = denoise(x, node)
        x = c.keep * corrected + c.told * x_0 + c.data * before + c.old * earlier
        return p.keep * x + p.data * x_0 + p.old * before, x, x_0, before

    return loop(step, (x, x, jnp.zeros_like(x), jnp.zeros_like(x)), rows, frames)


def correction_table(path):
    """Of each point that is looked at: the first stays, the second is corrected with two values of x_0, the others
    with three. The steps h are those in log(alpha / sigma)."""
    now, then, _ = multistep.jump(path[:-1])
    with np.errstate(divide="ignore"):
        h = -np.diff(np.log(path[:-1].ratio))
    told, old = shares(h)
    whole = then.alpha - then.sigma * now.alpha / now.sigma
    rest = (then.sigma / now.sigma, whole * told, whole * (1 - told - old), whole * old)
    return Correction(*(np.append(float(i == 0), row) for i, row in enumerate(rest)))


def shares(h):
    """Of a step's x_0 the shares of the value at its end and of the one before its start: the polynomial through the
    three, integrated against e^lambda. For the first step B(h) alone decides: a half."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shrunk = -np.expm1(-h)
        one, two = 1 / shrunk - 1 / h, (1 - 2 / h) / shrunk + 2 / h**2
        back = -h[:-1] / h[1:]  # where the point before the start lies, the end being at 1
        past = (one - two)[1:] / (1 - back)
        return np.append(0.5, one[1:] - past)[: len(h)], np.append(0, past / back)[: len(h)]
