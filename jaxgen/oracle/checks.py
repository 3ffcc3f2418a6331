"""What `jaxgen oracle` checks: each function is a table of its command, found by its name, and gives rows."""

from functools import partial
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.diffusion import likelihood, schedules
from jaxgen.diffusion.weighting import edm_weight
from jaxgen.oracle import cases, exact, floors, identities, orders
from jaxgen.oracle.affine import moments
from jaxgen.oracle.controls import CONTROLS
from jaxgen.oracle.densities import Gaussian, Mixture

LEFT = cases.LEFT
DRAWS = 2**20


class Row(NamedTuple):
    """`error` is what `bound` bounds; of a negative control it must exceed it."""

    name: str
    at: dict[str, Any]
    exact: float
    found: float
    error: float
    bound: float
    ok: bool


def row(name, exact, found, error=None, bound=1e-12, **at):
    error = abs(found - exact) if error is None else error
    return Row(name, at, float(exact), float(found), float(error), bound, bool(error <= bound))


def away(found, exact):
    """The worst relative difference of two moments; of a mean of 0 the difference."""
    return max(
        float(np.max(np.abs(a - b) / np.where(np.asarray(b) == 0, 1, b))) for a, b in zip(found, exact, strict=True)
    )


def samplers():
    """Our samplers on Gaussian data, against the papers' formulas."""
    for name, case in cases.CASES.items():
        for steps in cases.STEPS:
            found, truth = cases.judged(case, steps)
            for i, std in enumerate(cases.STDS):
                error = away([each[i] for each in found], [each[i] for each in truth])
                yield row(name, truth.std[i], found.std[i], error, 1e-6, std=std, steps=steps)


def controls(std=0.5, steps=100):
    """Faulty samplers, which must be told from right ones."""
    for name, (faulty, spacing, eta) in CONTROLS.items():
        times = spacing(len(LEFT), steps)
        found = moments(lambda denoise, x, noise: faulty(denoise, x, LEFT, times, noise), Gaussian(0.0, std))  # noqa: B023
        truth = exact.ddim(LEFT, times, 0.0, std, eta)
        error = away(found, truth)
        told = row(name, truth.std, found.std.item(), error, 1e-6, std=std, steps=steps)
        yield told._replace(ok=not told.ok)


def convergence():
    """Orders of solvers, fitted."""
    for kind in ("gaussian", "mixture"):
        for solver, order in orders.ORDERS.items():
            found = orders.errors(solver, kind)
            yield row(solver, order, orders.order(found), bound=0.1, data=kind, errors=found)


def losses():
    """Floors, and what the best network comes to."""
    with jax.enable_x64(True):
        data, path = Gaussian(), schedules.discrete(LEFT, np.arange(len(LEFT)))
        for loss in ("l2", "l1", "huber"):
            yield loss_row(f"epsilon, {loss}", floors.epsilon(LEFT, 1.0, loss), "epsilon", data, path, loss=loss)
        for std in (0.5, 1.0):
            path = schedules.rectified((np.arange(10000) + 0.5) / 10000)
            yield loss_row(f"flow, std {std}", floors.flow(std), "velocity", Gaussian(0.0, std), path)
        path, weight = schedules.exploding(schedules.karras(100)), lambda node: edm_weight(node.sigma, 0.5)
        yield loss_row("edm, weighted", floors.EDM, "x0", Gaussian(0.0, 0.5), path, weight=weight)


def loss_row(name, floor, kind, data, path, **how):
    mean, error = floors.held_out(partial(data.predict, kind), kind, data, path, jax.random.key(0), DRAWS, **how)
    return row(name, floor, mean, abs(mean - floor) / error, 3.0, standard_error=error, draws=DRAWS)


def likelihoods():
    """log p by the flow, against what it is."""
    ratio = likelihood.ratios(1e-5, 100.0, 200)
    paths = {"VP": at_ratios(ratio), "VE": schedules.exploding(ratio)}
    t = schedules.rectified(np.linspace(0, 1, 301))
    with jax.enable_x64(True):
        for std in (1.0, 0.5):
            data = Gaussian(0.0, std)
            found = {name: expected(data, denoised(data, path)) for name, path in paths.items()}
            found["flow"] = expected(
                data, jax.jit(partial(likelihood.of_velocity, partial(data.predict, "velocity"), path=t))
            )
            for name, bits in found.items():
                yield row(f"N(0, {std**2:g}), {name}", floors.entropy_bits(std), bits, bound=1e-6, unit="bits/dim")
        data = Mixture([0.3, 0.7], [[-1.0, 0.0, 0.5], [1.0, 0.5, 0.0]], [0.6, 0.5])
        x = data.sample(jax.random.key(0), 32)
        # Hutchinson's estimate has no error where the probes are all the corners of a cube
        corners = np.array(list(product((-1.0, 1.0), repeat=3)))[:, None].repeat(32, 1)
        for name, probes in (("mixture, VE", None), ("mixture, VE, Hutchinson", jnp.asarray(corners))):
            known, found = data.log_prob(x), denoised(data, paths["VE"], probes)(x)
            yield row(name, known.mean(), found.mean(), jnp.abs(known - found).max(), 1e-6, unit="nats")


def denoised(data, path, probes=None):
    """log p of x by the flow of a denoiser, from the density that is known at the last point."""
    prior = lambda x: data.log_prob(x, path[-1])
    return jax.jit(lambda x: likelihood.of_denoiser(data.denoise, x, path, prior, probes))


def expected(data, log_prob, points=8):
    """Bits per dimension, the mean over N(0, std^2) by Gauss and Hermite."""
    x, weight = np.polynomial.hermite_e.hermegauss(points)
    told = likelihood.bits_per_dim(log_prob(jnp.asarray(data.std * x)[:, None]), 1)
    return float((weight / weight.sum() * np.asarray(told)).sum())


def at_ratios(ratio, beta_0=0.1, beta_1=20.0):
    """The points of the VP process where sigma / alpha is `ratio`: the root of Song et al. (2021), eq. 33, for t."""
    gone = np.log1p(np.asarray(ratio) ** 2) / 2  # -log alpha
    slope = (beta_1 - beta_0) / 2
    return schedules.preserving(((beta_0**2 / 4 + 2 * slope * gone) ** 0.5 - beta_0 / 2) / slope, beta_0, beta_1)


def relations():
    """Schedules, posteriors, predictions, preconditioning."""
    yield row("linear, last alpha-bar", identities.product(np.linspace(1e-4, 0.02, 1000)), LEFT[-1])
    yield row("cosine, alpha-bar at 500", identities.squared_cosine(500), schedules.cosine()[499])
    yield row("zero-terminal-SNR, last alpha-bar", 0.0, schedules.zero_terminal()[-1])
    yield row("VP, alpha at 1", np.exp(-0.25 * 19.9 - 0.05), schedules.vp_alpha(1.0))
    yield row("posterior of the linear schedule: mean, off by", 0.0, identities.posterior(LEFT)[3], bound=5e-13)
    yield row("the same: variance, off by", 0.0, identities.posterior(LEFT)[4], bound=5e-15)
    for name in identities.TABLES:
        yield row(f"steps on {name} keep the marginal, off by", 0.0, identities.steps_kept(name), bound=1e-10)
    with jax.enable_x64(True):
        yield row("preconditioning of EDM, off by", 0.0, identities.preconditioned())
        yield row("predictions told by each other, off by", 0.0, identities.converted())


TABLES = {
    "relations": relations,
    "samplers": samplers,
    "orders": convergence,
    "losses": losses,
    "likelihoods": likelihoods,
    "controls": controls,
}
