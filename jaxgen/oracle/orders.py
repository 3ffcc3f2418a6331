"""How fast a solver's error falls with the number of its points: log error against log N is a line of slope -order.

The problem is the probability-flow ODE of Karras et al. (2022), eq. 4, on their points (eq. 5) from 80 to 0.002: of one
Gaussian, whose solution is known, and of a mixture, where Runge-Kutta with very many points stands for it."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.diffusion import karras, multistep, ode
from jaxgen.diffusion.schedules import exploding
from jaxgen.diffusion.schedules import karras as spaced
from jaxgen.oracle.densities import Gaussian, Mixture

ORDERS = {"euler": 1, "heun": 2, "dpmpp_2m": 2, "rk4": 4}
POINTS = 72, 144, 288
MANY = 4609


@cache
def problem(kind):
    """-> data, starts (N, 1), the solution at sigma 0.002."""
    if kind == "gaussian":
        data, starts = Gaussian(0.0, 0.5), np.array([[80.0]])
        return data, starts, starts * np.sqrt((0.25 + 0.002**2) / (0.25 + 80.0**2))
    data = Mixture([0.3, 0.7], [-1.0, 1.0], [0.6, 0.5])
    starts = 80.0 * np.linspace(-1.5, 1.5, 8)[:, None]
    return data, starts, np.asarray(solved("rk4", data, starts, MANY))


def solved(solver, data, starts, points):
    """x at sigma 0.002, on `points` values of sigma; float64 inside `jax.enable_x64(True)`."""
    return jax.jit(lambda x: SOLVERS[solver](data.denoise, x, spaced(points)))(jnp.asarray(starts))


def runge_kutta(denoise, x, sigmas):
    path = exploding(with_middles(sigmas))
    return ode.rk4(karras.flow(denoise), x, path, path.sigma)


def with_middles(values):
    """Points and those in the middle between them, as the fourth order wants."""
    return np.insert(values, np.arange(1, len(values)), (values[1:] + values[:-1]) / 2)


SOLVERS = {
    "euler": lambda denoise, x, sigmas: karras.euler(denoise, x, exploding(sigmas)),
    "heun": lambda denoise, x, sigmas: karras.heun(denoise, x, exploding(sigmas)),
    "dpmpp_2m": lambda denoise, x, sigmas: multistep.dpmpp_2m(denoise, x, exploding(sigmas)),
    "rk4": runge_kutta,
}


def errors(solver, kind, points=POINTS):
    """Relative errors, one for each number of points: the root of the mean of squares over the starts."""
    with jax.enable_x64(True):
        data, starts, solution = problem(kind)
        apart = [np.asarray(solved(solver, data, starts, count)) - solution for count in points]
    return [float(np.sqrt((each**2).mean() / (solution**2).mean())) for each in apart]


def order(found, points=POINTS):
    """The slope of the line through log error and log N, turned positive."""
    return -float(np.polyfit(np.log(points), np.log(found), 1)[0])
