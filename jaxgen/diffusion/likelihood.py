"""Exact log-likelihoods by the probability-flow ODE (Song et al., 2021, section 4.3; Chen et al., 2018): data are
carried to noise, and log p changes on the way by the divergence of the slope.

The solver is Runge-Kutta's of fourth order over given points. The divergence is found by reverse mode: exactly, one
pull-back for each dimension, or estimated with `probes` (P, *x.shape) of which the mean is 0 and the covariance 1
(Hutchinson; Grathwohl et al., 2019), the same ones all the way."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.diffusion import ode
from jaxgen.diffusion.schedules import at_least_single
from jaxgen.errors import UserError


def of_denoiser(denoise, x, path, prior=None, probes=None):
    """log p(x) (N,), nats, of data x (N, ...), for `denoise(x, node) -> x_0` of any schedule.

    `path` goes from the data, sigma > 0, to the noise; every other point lies in the middle of its step in
    log(sigma / alpha), as those of `ratios` do. `prior(x)` is log p at the last point; by default it is normal with
    variance alpha^2 + sigma^2, right for data of unit variance, and nearly for others where sigma is far above alpha.

    In w = x / s, s^2 = alpha^2 + sigma^2, the schedule is gone and sizes stay those of the data and of unit noise:
    dw / d log(sigma / alpha) = (x - alpha x_0) / s - (sigma / s)^2 w."""
    if not np.all((path.alpha > 0) & (path.sigma > 0)):
        raise UserError("likelihood: expected alpha > 0 and sigma > 0 at every point of the path.")
    clock = np.log(path.ratio)

    def slope(w, node):
        s = jnp.sqrt(node.alpha**2 + node.sigma**2)
        return (s * w - node.alpha * denoise(s * w, node)) / s - (node.sigma / s) ** 2 * w

    scale = np.sqrt(path.alpha**2 + path.sigma**2)
    first, last = at_least_single((path.alpha[0] / scale[0], scale[-1]), x)
    w, change = carried(slope, first * x, path, clock, probes)  # x is taken for x / alpha at the first point
    ending = normal(w, 1.0) if prior is None else prior(last * w) + w[0].size * jnp.log(last)
    return ending + w[0].size * jnp.log(first) + change


def of_velocity(velocity, x, path, prior=None, probes=None):
    """log p(x) (N,), nats, for a rectified flow, dx/dt = velocity(x, node) (Lipman et al., 2023, appendix C).
    `path` goes from t = 0 to 1, every other point in the middle of its step; `prior(x)`: else standard normal."""
    x, change = carried(velocity, x, path, path.time, probes)
    return (prior or (lambda x: normal(x, 1.0)))(x) + change


def ratios(low, high, steps):
    """2 steps + 1 values of sigma / alpha from `low` to `high`, even in the logarithm."""
    if not 0 < low < high or steps < 1:
        raise UserError(f"ratios: expected 0 < low < high and at least one step, got {low}, {high}, {steps}.")
    return np.geomspace(low, high, 2 * steps + 1)


def bits_per_dim(log_prob, size):
    """Of x with `size` numbers; nats become bits."""
    return -log_prob / (size * np.log(2))


def carried(slope, x, path, clock, probes=None):
    """-> x at the last point, and the integral of the divergence (N,): a column beside x in the state of the solver."""
    middles = (clock[:-2:2] + clock[2::2]) / 2
    if len(clock) % 2 == 0 or not np.allclose(clock[1::2], middles, rtol=0, atol=1e-6 * np.ptp(clock)):
        raise UserError("likelihood: expected every other point of the path in the middle of its step.")

    def both(state, node):
        x_now = state[:, :-1].reshape(x.shape)
        slopes, change = diverging(lambda x: slope(x, node), x_now, probes)
        return jnp.concatenate([slopes.reshape(x.shape[0], -1), change[:, None]], 1)

    start = jnp.concatenate([x.reshape(x.shape[0], -1), jnp.zeros((x.shape[0], 1), x.dtype)], 1)
    end = ode.rk4(both, start, path, clock)
    return end[:, :-1].reshape(x.shape), end[:, -1]


def diverging(f, x, probes=None):
    """-> f(x), and the trace of df/dx for each of the N, where f(x)[n] depends on x[n] alone."""
    value, pull = jax.vjp(f, x)
    total = lambda sum, probe: (sum + (pull(probe)[0] * probe).sum(range(1, x.ndim)), None)
    start = jnp.zeros(x.shape[0], x.dtype)
    if probes is not None:
        return value, jax.lax.scan(total, start, probes)[0] / probes.shape[0]
    one = lambda d: jnp.broadcast_to(jax.nn.one_hot(d, x[0].size, dtype=x.dtype).reshape(x.shape[1:]), x.shape)
    return value, jax.lax.scan(lambda sum, d: total(sum, one(d)), start, jnp.arange(x[0].size))[0]


def normal(x, variance):
    """log N(x; 0, variance) (N,)."""
    return -0.5 * (x**2 / variance + jnp.log(2 * jnp.pi * variance)).sum(range(1, x.ndim))
