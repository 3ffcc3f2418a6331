"""Noise schedules: x = alpha x_0 + sigma epsilon at every point of the way from data to noise.

Tables are NumPy's, in float64, made on the host: a cumulative product of a thousand factors near 1 has lost three
digits in float32, and a half precision cannot tell most of them apart (`at_least_single`)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxgen.errors import UserError


class Node(struct.PyTreeNode):
    """A point of the way, or several along a leading axis: the time that a network is told, alpha and sigma."""

    time: np.ndarray
    alpha: np.ndarray
    sigma: np.ndarray

    def __getitem__(self, i):
        """Some of the points."""
        return jax.tree.map(lambda x: x[i], self)

    @property
    def ratio(self):
        """sigma / alpha: the noise that data of unit scale carry, infinite where nothing is left of them."""
        with np.errstate(divide="ignore"):
            return np.asarray(self.sigma) / np.asarray(self.alpha)


def at_least_single(tables, x):
    """Tables as constants for work on `x`: float32, or float64 beside such an `x`; never less."""
    return jax.tree.map(lambda table: jnp.asarray(table, jnp.promote_types(x.dtype, jnp.float32)), tables)


# Tables of alpha^2 ("alphas_cumprod", written alpha-bar), for the times 0, ..., timesteps - 1.


def linear(timesteps=1000, start=1e-4, end=0.02):
    """Ho et al. (2020), document 002: beta linear. The ends do not carry over to another number of steps."""
    return np.cumprod(1 - np.linspace(start, end, timesteps))


def scaled_linear(timesteps=1000, start=0.00085, end=0.012):
    """Rombach et al. (2022): the root of beta linear."""
    return np.cumprod(1 - np.linspace(start**0.5, end**0.5, timesteps) ** 2)


def cosine(timesteps=1000, s=0.008, largest=0.999):
    """Nichol & Dhariwal (2021), eq. 17, beta at most `largest`."""
    f = np.cos((np.arange(timesteps + 1) / timesteps + s) / (1 + s) * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - f[1:] / f[:-1], largest))


def sigmoid(timesteps=1000, start=-3.0, end=3.0, tau=1.0, largest=0.999):
    """Jabri et al. (2023), algorithm 1."""
    value = lambda t: 1 / (1 + np.exp(-(t * (end - start) + start) / tau))
    t = np.arange(timesteps + 1) / timesteps
    f = (value(1.0) - value(t)) / (value(1.0) - value(0.0))
    return np.cumprod(1 - np.minimum(1 - f[1:] / f[:-1], largest))


def zero_terminal(timesteps=1000, start=1e-4, end=0.02):
    """The linear schedule shifted and scaled so that nothing of the data is left at the end (Lin et al., 2024,
    algorithm 1). There epsilon tells nothing of the data: predict v."""
    root = linear(timesteps, start, end) ** 0.5
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def variance_preserving(timesteps=1000, beta_0=0.1, beta_1=20.0):
    """The VP process of Song et al. (2021) at the times (i + 1) / timesteps."""
    return vp_alpha(np.arange(1, timesteps + 1) / timesteps, beta_0, beta_1) ** 2


def document_000(timesteps=1000, end=30.0):
    """The "simplified" schedule of document 000, alpha(t) = exp(-0.25 * 0.02 t^2), for t in (0, 30]. It is no function
    of a step out of 1000: from t = 31 on less than a hundredth of the data is left."""
    return np.exp(-0.005 * (end * np.arange(1, timesteps + 1) / timesteps) ** 2) ** 2


def document_004(timesteps=1000):
    """That of document 004, alpha(t)^2 = 1 - t, for t in (0, 1): the printed t is a part of the way, not a step."""
    return 1 - np.arange(1, timesteps + 1) / (timesteps + 1)


def betas(alphas_cumprod):
    """What each step alone adds: 1 - alpha-bar_t / alpha-bar_(t-1)."""
    return 1 - alphas_cumprod / np.concatenate([[1.0], alphas_cumprod[:-1]])


# The way of a sampler: nodes from noise to data.


def discrete(alphas_cumprod, times):
    """The points of a table at `times`; -1 is the data. Between two steps the logarithm of sigma / alpha is linear."""
    times = np.asarray(times, float)
    if times.min() < -1 or times.max() > len(alphas_cumprod) - 1:
        raise UserError(f"times: expected -1 to {len(alphas_cumprod) - 1}, got {times.min():g} to {times.max():g}.")
    known, inside = np.arange(len(alphas_cumprod)), np.maximum(times, 0)
    whole = np.isclose(inside, np.round(inside), rtol=0, atol=1e-12)
    exact = np.asarray(alphas_cumprod)[np.round(inside).astype(int)]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = np.interp(inside, known, np.log(1 / np.asarray(alphas_cumprod) - 1))
        left = np.where(whole, exact, 1 / (1 + np.exp(between)))
    left = np.where(times < 0, 1.0, left)
    return Node(times, left**0.5, (1 - left) ** 0.5)


def time_of(alphas_cumprod, ratio):
    """The time, between two steps too, at which sigma / alpha is `ratio`; 0 at least and the last at most."""
    with np.errstate(divide="ignore"):
        known = np.log(1 / np.asarray(alphas_cumprod) - 1) / 2
        return np.interp(np.log(ratio), known, np.arange(len(known)))


def vp_alpha(t, beta_0=0.1, beta_1=20.0):
    """exp(-t^2 (beta_1 - beta_0) / 4 - t beta_0 / 2), for t in [0, 1] (Song et al., 2021, eq. 33)."""
    return np.exp(-0.25 * np.asarray(t, float) ** 2 * (beta_1 - beta_0) - 0.5 * np.asarray(t, float) * beta_0)


def preserving(times, beta_0=0.1, beta_1=20.0):
    """The points of the VP process at `times` in [0, 1]."""
    alpha = vp_alpha(times, beta_0, beta_1)
    return Node(np.asarray(times, float), alpha, np.sqrt(-np.expm1(2 * np.log(alpha))))


def exploding(sigmas):
    """The points x = x_0 + sigma epsilon (VE; Karras et al., 2022); the network is told sigma."""
    sigmas = np.asarray(sigmas, float)
    return Node(sigmas, np.ones_like(sigmas), sigmas)


def rectified(times):
    """The points x = (1 - t) x_0 + t epsilon (Liu et al., 2023; Lipman et al., 2023, with t counted from the data)."""
    times = np.asarray(times, float)
    return Node(times, 1 - times, times)


# Which points a sampler visits.


def leading(timesteps, steps):
    """0, k, 2k, ... with k = timesteps // steps, from the last; then the data."""
    check(timesteps, steps)
    return np.append((np.arange(steps) * (timesteps // steps))[::-1], -1)


def linspace(timesteps, steps):
    """From the last step to the first, both visited; then the data."""
    check(timesteps, steps)
    return np.append(np.round(np.linspace(0, timesteps - 1, steps))[::-1], -1)


def trailing(timesteps, steps):
    """Counted back from the last step, which is always visited (Lin et al., 2024); then the data."""
    check(timesteps, steps)
    return np.append(np.round(np.arange(timesteps, 0, -timesteps / steps)) - 1, -1)


def documented(timesteps, steps):
    """Document 002: linspace(-1, timesteps - 1, steps + 1) cut to integers."""
    check(timesteps, steps)
    return np.trunc(np.linspace(-1, timesteps - 1, steps + 1))[::-1]


def check(timesteps, steps):
    if not 1 <= steps <= timesteps:
        raise UserError(f"sampling steps: expected 1 to {timesteps}, those of the schedule, got {steps}.")


def karras(steps, sigma_min=0.002, sigma_max=80.0, rho=7.0):
    """Karras et al. (2022), eq. 5: `steps` values from sigma_max to sigma_min."""
    if steps < 1 or not 0 < sigma_min <= sigma_max:
        raise UserError(f"karras: expected steps and 0 < sigma_min <= sigma_max, got {steps}, {sigma_min}, {sigma_max}")
    return np.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), steps) ** rho


def shifted(times, shift=1.0):
    """Times of a rectified flow moved towards the noise: s t / (1 + (s - 1) t) (Esser et al., 2024, eq. 23)."""
    if shift <= 0:
        raise UserError(f"shift: expected more than 0, got {shift}.")
    return shift * times / (1 + (shift - 1) * times)


def halved(path, point):
    """With the point in the middle of each step, in sigma / alpha; the step to the data has none."""
    ratio = path.ratio[:-1]
    between = point((ratio[:-1] + ratio[1:]) / 2)
    mixed = lambda x, middle: np.append(np.stack([x[:-2], middle], 1).ravel(), x[-2:])
    return jax.tree.map(mixed, path, between)
