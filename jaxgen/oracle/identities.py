"""What must hold between the numbers of schedules, predictions and preconditioning, each told by a second way."""

from itertools import permutations
from math import fsum
from typing import get_args

import numpy as np

from jaxgen.diffusion import multistep, prediction, schedules
from jaxgen.diffusion.weighting import edm_weight
from jaxgen.oracle.densities import Gaussian

TABLES = "linear scaled_linear cosine sigmoid zero_terminal variance_preserving document_000 document_004".split()


def product(betas):
    """alpha-bar at the end, by logarithms summed without rounding."""
    return float(np.exp(fsum(np.log1p(-np.asarray(betas)))))


def squared_cosine(t, timesteps=1000, s=0.008):
    """alpha-bar of Nichol & Dhariwal (2021), eq. 17, as printed: without a bound on beta."""
    f = lambda t: np.cos((t / timesteps + s) / (1 + s) * np.pi / 2) ** 2
    return float(f(t) / f(0))


def posterior(left):
    """Of Ho et al. (2020), eq. 7, at each step of a table -> coef_1, coef_2, variance; and how far the marginal of the
    step before is missed, in mean and in variance."""
    before = np.concatenate([[1.0], left[:-1]])
    beta = 1 - left / before
    coef_1, coef_2 = before**0.5 * beta / (1 - left), (1 - beta) ** 0.5 * (1 - before) / (1 - left)
    variance = beta * (1 - before) / (1 - left)
    mean = coef_1 + coef_2 * left**0.5 - before**0.5
    return coef_1, coef_2, variance, np.abs(mean).max(), np.abs(coef_2**2 * (1 - left) + variance - 1 + before).max()


def kept(table, path):
    """How far a step misses the marginal of the point it goes to, when x_0 is known: the worst mean or variance.
    Every sampler that adds as much noise as its equation asks for keeps it (Song et al., 2021, lemma 1)."""
    now, then = path[:-1], path[1:]
    mean = table.keep * now.alpha + table.data + table.old - then.alpha
    return float(max(np.abs(mean).max(), np.abs((table.keep * now.sigma) ** 2 + table.noise**2 - then.sigma**2).max()))


def steps_kept(name, steps=50):
    """The worst of `kept` over the samplers that add noise, on a schedule by its name."""
    table = getattr(schedules, name)()
    points = schedules.leading if name == "zero_terminal" else schedules.trailing
    path = schedules.discrete(table, points(len(table), steps))
    tables = [multistep.ancestral_table(path), *(multistep.ddim_table(path, eta) for eta in (0.0, 0.5, 1.0))]
    return max(kept(each, path) for each in [*tables, multistep.dpmpp_sde_table(path)])


def preconditioning(sigma, sigma_data=0.5):
    """-> c_skip, c_out, c_in, c_noise, weight of Karras et al. (2022), table 1."""
    both = sigma**2 + sigma_data**2
    c_skip, c_out, c_in = sigma_data**2 / both, sigma * sigma_data / both**0.5, both**-0.5
    return c_skip, c_out, c_in, np.log(sigma) / 4, both / (sigma * sigma_data) ** 2


def preconditioned(sigma=0.7, sigma_data=0.5):
    """How far the weight in use is from 1 / c_out^2, and c_skip x from the best denoiser of N(0, sigma_data^2)."""
    c_skip, c_out, *_ = preconditioning(sigma, sigma_data)
    node = schedules.exploding(sigma)
    told = Gaussian(0.0, sigma_data).denoise(np.ones((1, 1)), node)
    return max(abs(float(edm_weight(sigma, sigma_data)) * c_out**2 - 1), abs(float(told[0, 0]) - c_skip))


def converted(x_0=0.3, epsilon=-1.2, alpha=0.6, sigma=0.8):
    """The worst error of a prediction as another one and back, over all pairs."""
    x, kinds = alpha * x_0 + sigma * epsilon, get_args(prediction.Prediction)
    tell = {kind: prediction.target(kind, x_0, epsilon, alpha, sigma) for kind in kinds}
    there = lambda a, b: prediction.convert(tell[a], x, alpha, sigma, a, b)
    return max(abs(there(a, b) - tell[b]) for a, b in permutations(kinds, 2))
