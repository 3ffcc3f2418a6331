"""Noise schedules: x = alpha x_0 + sigma epsilon at every point of the way from data to noise; all in float64."""

from typing import NamedTuple

import torch

REAL = torch.float64


class Node(NamedTuple):
    """A point of the way: the time that a network is told, alpha and sigma, as numbers."""

    time: float
    alpha: float
    sigma: float

    @property
    def ratio(self):
        return self.sigma / self.alpha if self.alpha else float("inf")


# Tables of alpha^2 ("alphas_cumprod", written alpha-bar), for the times 0, ..., timesteps - 1.


def linear(timesteps=1000, start=1e-4, end=0.02):
    """Ho et al. (2020), document 002: beta linear."""
    return (1 - torch.linspace(start, end, timesteps, dtype=REAL)).cumprod(0)


def scaled_linear(timesteps=1000, start=0.00085, end=0.012):
    """Rombach et al. (2022): the root of beta linear."""
    return (1 - torch.linspace(start**0.5, end**0.5, timesteps, dtype=REAL) ** 2).cumprod(0)


def cosine(timesteps=1000, s=0.008, largest=0.999):
    """Nichol & Dhariwal (2021), eq. 17, beta at most `largest`."""
    f = torch.cos((torch.arange(timesteps + 1, dtype=REAL) / timesteps + s) / (1 + s) * torch.pi / 2) ** 2
    return (1 - (1 - f[1:] / f[:-1]).clamp(max=largest)).cumprod(0)


def sigmoid(timesteps=1000, start=-3.0, end=3.0, tau=1.0, largest=0.999):
    """Jabri et al. (2023), algorithm 1."""
    value = lambda t: torch.sigmoid((t * (end - start) + start) / tau)
    zero, one = torch.tensor([0.0, 1.0], dtype=REAL)
    f = (value(one) - value(torch.arange(timesteps + 1, dtype=REAL) / timesteps)) / (value(one) - value(zero))
    return (1 - (1 - f[1:] / f[:-1]).clamp(max=largest)).cumprod(0)


def zero_terminal(timesteps=1000, start=1e-4, end=0.02):
    """The linear schedule shifted and scaled so that nothing of the data is left at the end (Lin et al., 2024)."""
    root = linear(timesteps, start, end).sqrt()
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def variance_preserving(timesteps=1000, beta_0=0.1, beta_1=20.0):
    """The VP process of Song et al. (2021) at the times (i + 1) / timesteps."""
    t = torch.arange(1, timesteps + 1, dtype=REAL) / timesteps
    return torch.exp(-0.25 * t**2 * (beta_1 - beta_0) - 0.5 * t * beta_0) ** 2


def document_000(timesteps=1000, end=30.0):
    """The "simplified" schedule of document 000, for t in (0, 30]."""
    return torch.exp(-0.25 * (end * torch.arange(1, timesteps + 1, dtype=REAL) / timesteps) ** 2 * 0.02) ** 2


def document_004(timesteps=1000):
    """That of document 004, for t in (0, 1)."""
    return 1.0 - torch.arange(1, timesteps + 1, dtype=REAL) / (timesteps + 1)


# The way of a sampler: a list of nodes from noise to data.


def discrete(alphas_cumprod, times):
    """The points of a table at `times`; -1 is the data. Between two steps the logarithm of sigma / alpha is linear."""
    return [point(alphas_cumprod, float(time)) for time in times]


def point(alphas_cumprod, time):
    if time < 0:
        return Node(-1.0, 1.0, 0.0)
    low = int(time)
    left = alphas_cumprod[low]
    if time > low:
        ends = torch.log(1 / alphas_cumprod[low : low + 2] - 1)
        left = torch.sigmoid(-torch.lerp(ends[0], ends[1], time - low))
    return Node(time, float(left.sqrt()), float((1 - left).sqrt()))


def time_of(alphas_cumprod, ratio):
    """The time, between two steps too, at which sigma / alpha is `ratio`."""
    known = torch.log(1 / alphas_cumprod - 1) / 2
    wanted = torch.log(torch.tensor(ratio, dtype=REAL)).clamp(known[0], known[-1])
    low = int(torch.searchsorted(known, wanted, right=True).clamp(1, len(known) - 1)) - 1
    return low + float((wanted - known[low]) / (known[low + 1] - known[low]))


def exploding(sigmas):
    """The points x = x_0 + sigma epsilon (VE; Karras et al., 2022); the network is told sigma."""
    return [Node(sigma, 1.0, sigma) for sigma in map(float, sigmas)]


def rectified(times):
    """The points x = (1 - t) x_0 + t epsilon (Liu et al., 2023)."""
    return [Node(time, 1 - time, time) for time in map(float, times)]


# Which points a sampler visits.


def leading(timesteps, steps):
    """0, k, 2k, ... with k = timesteps // steps, from the last; then the data."""
    return [*(torch.arange(steps) * (timesteps // steps)).flip(0).tolist(), -1]


def linspace(timesteps, steps):
    """From the last step to the first, both visited; then the data."""
    return [*torch.linspace(0, timesteps - 1, steps, dtype=REAL).round().flip(0).tolist(), -1]


def trailing(timesteps, steps):
    """Counted back from the last step, which is always visited (Lin et al., 2024); then the data."""
    return [*(timesteps - torch.arange(steps, dtype=REAL) * timesteps / steps).round().sub(1).tolist(), -1]


def documented(timesteps, steps):
    """Document 002: linspace(-1, timesteps - 1, steps + 1) cut to integers."""
    return torch.linspace(-1, timesteps - 1, steps + 1, dtype=REAL).int().flip(0).tolist()


def karras(steps, sigma_min=0.002, sigma_max=80.0, rho=7.0):
    """Karras et al. (2022), eq. 5."""
    return torch.linspace(sigma_max ** (1 / rho), sigma_min ** (1 / rho), steps, dtype=REAL) ** rho


def shifted(times, shift=1.0):
    """Times of a rectified flow moved towards the noise (Esser et al., 2024, eq. 23)."""
    return shift * times / (1 + (shift - 1) * times)


def halved(path, point):
    """With the point in the middle of each step, in sigma / alpha; the step to the data has none."""
    middles = [point((now.ratio + then.ratio) / 2) for now, then in zip(path[:-2], path[1:-1], strict=True)]
    return [node for pair in zip(path[:-2], middles, strict=True) for node in pair] + path[-2:]
