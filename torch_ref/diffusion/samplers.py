"""All samplers, by name, as their papers print them: `sampler(denoise, x, path, noise=None, ...)`, `denoise(x, node)`
being x_0, `path` a list of nodes from noise to data, `noise(i)` the z of step i."""

import math
from itertools import pairwise

import torch

from torch_ref.diffusion import ode


def ancestral(denoise, x, path, noise, variance="small"):
    """DDPM (Ho et al., 2020, algorithm 2), each step with the alpha-bar of the point it really goes to."""
    for i, (now, then) in enumerate(pairwise(path)):
        step = now.alpha / then.alpha
        beta = now.sigma**2 - step**2 * then.sigma**2
        mean = (step * then.sigma**2 * x + then.alpha * beta * denoise(x, now)) / now.sigma**2
        spread = beta * then.sigma**2 / now.sigma**2 if variance == "small" else beta
        x = mean + math.sqrt(spread) * noise(i) if then.sigma > 0 else mean
    return x


def ddim(denoise, x, path, noise=None, eta=0.0):
    """DDIM (Song et al., 2021, eq. 12 and 16)."""
    for i, (now, then) in enumerate(pairwise(path)):
        x_0 = denoise(x, now)
        epsilon = (x - now.alpha * x_0) / now.sigma
        sigma = eta * then.sigma / now.sigma * math.sqrt(now.sigma**2 - (now.alpha / then.alpha * then.sigma) ** 2)
        x = then.alpha * x_0 + math.sqrt(then.sigma**2 - sigma**2) * epsilon
        x = x + sigma * noise(i) if sigma else x
    return x


def dpmpp_2m(denoise, x, path, noise=None):
    """DPM-Solver++(2M) (Lu et al., 2022, algorithm 2); of first order at the start and to the data."""
    del noise
    old, before = None, math.inf
    for now, then in pairwise(path):
        h, x_0 = step(now, then), denoise(x, now)
        data = extrapolated(x_0, old, h, before)
        x = then.sigma / now.sigma * x - then.alpha * math.expm1(-h) * data
        old, before = x_0, h
    return x


def dpmpp_2m_sde(denoise, x, path, noise):
    """SDE-DPM-Solver++(2M)."""
    old, before = None, math.inf
    for i, (now, then) in enumerate(pairwise(path)):
        h, x_0 = step(now, then), denoise(x, now)
        gone = -math.expm1(-2 * h)
        data = extrapolated(x_0, old, h, before)
        x = then.sigma / now.sigma * math.exp(-h) * x + then.alpha * gone * data
        x = x + then.sigma * math.sqrt(gone) * noise(i) if then.sigma else x
        old, before = x_0, h
    return x


def unipc(denoise, x, path, noise=None):
    """UniPC-2 with B(h) = e^h - 1 (Zhao et al., 2023): what the network says of a predicted point corrects it."""
    del noise
    corrected, told, steps = x, [], [math.inf]
    for i, (now, then) in enumerate(pairwise(path)):
        told.append(denoise(x, now))
        if i:
            corrected = correct(corrected, told, path[i - 1], now, steps)
        steps.append(step(now, then))
        data = extrapolated(told[-1], told[-2] if i else None, steps[-1], steps[-2])
        x = then.sigma / now.sigma * corrected - then.alpha * math.expm1(-steps[-1]) * data
    return x


def correct(x, told, last, now, steps):
    """The step from `last` to `now` again, with what is told of its end: algorithm 1, in the form of data."""
    h, start, end = steps[-1], told[-2], told[-1]
    phi = math.expm1(-h)
    if len(told) == 2:
        rest = (end - start) / 2
    else:
        r = -steps[-2] / h
        first = -phi / h - 1
        second = -first / h - 1 / 2
        b = torch.tensor([first / phi, 2 * second / phi], dtype=torch.float64)
        rho = torch.linalg.solve(torch.tensor([[1.0, 1.0], [r, 1.0]], dtype=torch.float64), b).tolist()
        rest = rho[0] * (told[-3] - start) / r + rho[1] * (end - start)
    return now.sigma / last.sigma * x - now.alpha * phi * (start + rest)


def step(now, then):
    """h: how far log(alpha / sigma) goes."""
    return math.log(now.ratio) - math.log(then.ratio) if then.sigma and now.alpha else math.inf


def extrapolated(x_0, old, h, before):
    """x_0 in the middle of the step, on the line through what was seen before."""
    if old is None or math.isinf(h):
        return x_0
    return x_0 + h / (2 * before) * (x_0 - old)


def euler(denoise, x, path, noise=None, churn=0.0):
    """Euler's method for the probability-flow ODE in x / alpha and sigma / alpha."""
    return follow(denoise, x, path, noise, churn, corrected=False)


def heun(denoise, x, path, noise=None, churn=0.0):
    """Algorithms 1 and 2 of Karras et al. (2022)."""
    return follow(denoise, x, path, noise, churn, corrected=True)


def follow(denoise, x, path, noise, churn, corrected):
    y, gamma = x / path[0].alpha, min(churn / (len(path) - 1), math.sqrt(2) - 1)
    for i, (now, then) in enumerate(pairwise(path)):
        if gamma:  # of x = x_0 + sigma epsilon alone
            raised = now.sigma * (1 + gamma)
            y = y + math.sqrt(raised**2 - now.sigma**2) * noise(i)
            now = type(now)(raised, 1.0, raised)
        slope = flow(denoise, y, now)
        end = y + (then.ratio - now.ratio) * slope
        if corrected and then.sigma > 0:
            end = y + (then.ratio - now.ratio) * (slope + flow(denoise, end, then)) / 2
        y = end
    return y


def rk4(denoise, x, path, noise=None):
    """Runge and Kutta's method of fourth order; `path` has the points between too, but for the step to the data."""
    del noise
    y = ode.rk4(lambda y, node: flow(denoise, y, node), x / path[0].alpha, path[:-1], lambda node: node.ratio)
    return denoise(y * path[-2].alpha, path[-2])


def flow(denoise, y, node):
    """dy/du of y = x / alpha and u = sigma / alpha."""
    return (y - denoise(y * node.alpha, node)) / node.ratio
