"""Samplers with faults that were really published, for the oracle to catch: a check that lets one pass is none."""

import numpy as np

from jaxgen.diffusion import multistep, samplers
from jaxgen.diffusion.schedules import discrete, leading
from jaxgen.diffusion.schedules import documented as truncated


def strided_posterior(denoise, x, left, times, noise):
    """Strides, but takes each step with the alpha-bar of t - 1 and not of the next step visited: `FlaxDDPMScheduler` of
    diffusers (2022 to 2026), and maxdiffusion. `left` is a table of alpha-bar."""
    now, then = discrete(left, times[:-1]), discrete(left, times[:-1] - 1)
    beta, rest = 1 - (now.alpha / then.alpha) ** 2, (then.sigma / now.sigma) ** 2
    keep, data = now.alpha / then.alpha * rest, then.alpha * beta / now.sigma**2
    table = multistep.Table(keep, data, 0 * keep, np.sqrt(beta * rest))
    return multistep.run(table, denoise, x, discrete(left, times), noise)


def repeated_noise(denoise, x, left, times, noise):
    """The same z at every step: a key that is made anew each time (`FlaxDDPMScheduler`, `key=None`)."""
    return samplers.ancestral(denoise, x, discrete(left, times), lambda i: noise(0))


def wrong_eta(denoise, x, left, times, noise, eta=0.5):
    """The DDIM of document 002, `dir_xt` and `noise` as printed: the square of sigma is taken to be eta^2. Of what is
    left for the direction, 1 - alpha-bar - eta^2, there is no root near the data."""
    path = discrete(left, times)
    now, then = path[:-1], path[1:]
    with np.errstate(invalid="ignore"):
        keep = np.sqrt(1 - then.alpha**2 - eta**2) / now.sigma
    table = multistep.Table(keep, then.alpha - keep * now.alpha, 0 * keep, np.where(then.time > 0, eta, 0.0))
    return multistep.run(table, denoise, x, path, noise)


def gated_noise(denoise, x, left, times, noise):
    """`time_next > 0` for `>= 0` (document 002): the step into time 0 gets no noise, though it is not the last."""
    path = discrete(left, times)
    table = multistep.ddim_table(path, eta=1.0)
    return multistep.run(table._replace(noise=np.where(path.time[1:] > 0, table.noise, 0.0)), denoise, x, path, noise)


# name: (the faulty sampler, how it chooses its times, eta of the sampler that it should be)
CONTROLS = {
    "strided posterior": (strided_posterior, leading, 1.0),
    "repeated noise": (repeated_noise, leading, 1.0),
    "wrong eta": (wrong_eta, truncated, 0.5),
    "gate of noise off by one": (gated_noise, leading, 1.0),
}
