"""Which samplers the oracle judges: for each, ours as it is called, and what it must make of a Gaussian, by `exact`."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from jaxgen.diffusion import ode, samplers
from jaxgen.diffusion import schedules as points
from jaxgen.oracle import exact
from jaxgen.oracle.affine import moments
from jaxgen.oracle.densities import Gaussian
from jaxgen.oracle.orders import with_middles

LEFT = points.linear()
STDS = 0.5, 1.0, 2.0
MEAN = 0.7
STEPS = 10, 50, 100, 1000


class Case(NamedTuple):
    """`visited(steps)` are times or sigmas; `run(data, visited, denoise, x, noise)`, `truth(visited, mean, std)`."""

    visited: Callable[[int], Any]
    run: Callable[..., Any]
    truth: Callable[..., Any]
    start: float = 1.0


def judged(case, steps, stds=STDS):
    """-> ours, exact, each ((len(stds),) means, deviations); all of `stds` in one run, a dimension each."""
    visited, data = case.visited(steps), Gaussian(np.full(len(stds), MEAN), stds)
    found = moments(partial(case.run, data, visited), data, case.start, draws=max(steps, 1))
    truth = [case.truth(visited, MEAN, std) for std in stds]
    return found, exact.Moments(*np.array(truth).T)


def of_table(sampler, truth, spacing=points.leading, **how):
    """One that follows a table of alpha-bar."""
    run = lambda data, times, denoise, x, noise: sampler(denoise, x, points.discrete(LEFT, times), noise, **how)
    return Case(partial(spacing, len(LEFT)), run, partial(truth, LEFT, **how))


def of_sigmas(sampler, truth, between=lambda sigmas: sigmas, **how):
    """One on the points of Karras et al. (2022), from 80."""
    path = lambda sigmas: points.exploding(np.append(between(sigmas[:-1]), 0.0))
    run = lambda data, sigmas, denoise, x, noise: sampler(denoise, x, path(sigmas), noise)
    return Case(lambda steps: np.append(points.karras(steps), 0.0), run, partial(truth, **how), 80.0)


def of_flow(solver, order, between=lambda t: t):
    """One of a rectified flow, that looks at the velocity."""

    def run(data, t, denoise, x, noise):
        velocity = partial(data.predict, "velocity")
        return solver(velocity, x, points.rectified(between(t)), between(t))

    return Case(lambda steps: np.linspace(1.0, 0.0, steps + 1), run, partial(exact.flow, order=order))


CHURN = 40.0

CASES = {
    "ancestral, small": of_table(samplers.ancestral, exact.ancestral, variance="small"),
    "ancestral, large": of_table(samplers.ancestral, exact.ancestral, variance="large"),
    "ddim": of_table(samplers.ddim, exact.ddim),
    "ddim, linspace": of_table(samplers.ddim, exact.ddim, points.linspace),
    "ddim, eta 0.5": of_table(samplers.ddim, exact.ddim, eta=0.5),
    "ddim, eta 1": of_table(samplers.ddim, exact.ddim, eta=1.0),
    "dpmpp_2m": of_table(samplers.dpmpp_2m, exact.dpmpp_2m),
    "dpmpp_2m_sde": of_table(samplers.dpmpp_2m_sde, partial(exact.dpmpp_2m, noise=1.0)),
    "euler": of_sigmas(samplers.euler, exact.karras, order=1),
    "heun": of_sigmas(samplers.heun, exact.karras),
    "heun, churn 40": of_sigmas(partial(samplers.heun, churn=CHURN), exact.karras, churn=CHURN),
    "rk4": of_sigmas(samplers.rk4, exact.rk4, with_middles),
    "flow, euler": of_flow(ode.euler, 1),
    "flow, heun": of_flow(ode.heun, 2),
    "flow, rk4": of_flow(ode.rk4, 4, with_middles),
}
