"""What samplers must make of N(mean, std^2): the papers' steps for one number, with the best network for such data, in
plain Python of float64. Nothing of `jaxgen.diffusion` is used, so that it can be judged by it.

`left` is a table of alpha-bar, `times` the steps visited and -1 at the end; `sigmas` and `t` go from noise to data. A
step takes x, the x_0 told before and z ~ N(0, 1); as it is affine, four looks tell all of it."""

from math import exp, log, sqrt

import numpy as np

from jaxgen.oracle.affine import Moments


def propagated(steps, start=1.0):
    """Mean and deviation after `steps`, each (x, x_0 before, z) -> x, x_0, beginning with N(0, start^2)."""
    mean, covariance = np.zeros(2), np.diag([start**2, 0.0])
    for step in steps:
        constant = np.array(step(0.0, 0.0, 0.0))
        x, before, z = (
            np.array(step(*unit)) - constant for unit in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
        )
        matrix = np.stack([x, before], 1)
        mean, covariance = matrix @ mean + constant, matrix @ covariance @ matrix.T + np.outer(z, z)
    return Moments(mean[0], covariance[0, 0] ** 0.5)


def told(x, a, b, mean, std):
    """E[x_0 | x] for x = a x_0 + b epsilon: the two guesses of x_0, each with its certainty (Gauss)."""
    return (mean / std**2 + a * x / b**2) / (1 / std**2 + a**2 / b**2)


def pairs(left, times):
    """alpha-bar of each step and of the one after it, 1 at the end."""
    values = [1.0 if time < 0 else float(left[int(time)]) for time in times]
    return zip(values[:-1], values[1:], strict=True)


def ancestral(left, times, mean=0.0, std=1.0, variance="small"):
    """Ho et al. (2020), algorithm 2, line 4, beta = 1 - alpha-bar / that of the next step visited; z = 0 at the end."""

    def between(a, b):
        alpha, beta = a / b, 1 - a / b
        scale = 0.0 if b == 1 else sqrt((1 - b) / (1 - a) * beta if variance == "small" else beta)

        def step(x, before, z):
            epsilon = (x - sqrt(a) * told(x, sqrt(a), sqrt(1 - a), mean, std)) / sqrt(1 - a)
            return (x - beta / sqrt(1 - a) * epsilon) / sqrt(alpha) + scale * z, 0.0

        return step

    return propagated(between(a, b) for a, b in pairs(left, times))


def ddim(left, times, mean=0.0, std=1.0, eta=0.0):
    """Song et al. (2021), eq. 12 with the sigma of eq. 16."""

    def between(a, b):
        sigma = eta * sqrt((1 - b) / (1 - a)) * sqrt(1 - a / b)

        def step(x, before, z):
            x_0 = told(x, sqrt(a), sqrt(1 - a), mean, std)
            epsilon = (x - sqrt(a) * x_0) / sqrt(1 - a)
            return sqrt(b) * x_0 + sqrt(1 - b - sigma**2) * epsilon + sigma * z, 0.0

        return step

    return propagated(between(a, b) for a, b in pairs(left, times))


def dpmpp_2m(left, times, mean=0.0, std=1.0, noise=0.0):
    """Lu et al. (2022): algorithm 2, and with `noise` 1 SDE-DPM-Solver++(2M). The first step and that to the data,
    where lambda is infinite, are of first order."""
    lambdas = [log(a / (1 - a)) / 2 for a, _ in pairs(left, times)]

    def between(i, a, b):
        if b == 1:
            return lambda x, before, z: (told(x, sqrt(a), sqrt(1 - a), mean, std), 0.0)
        h = lambdas[i + 1] - lambdas[i]
        r = (lambdas[i] - lambdas[i - 1]) / h if i else np.inf

        def step(x, before, z):
            x_0 = told(x, sqrt(a), sqrt(1 - a), mean, std)
            d = (1 + 1 / (2 * r)) * x_0 - 1 / (2 * r) * before
            if noise:
                kept = sqrt((1 - b) / (1 - a)) * exp(-h) * x + sqrt(b) * (1 - exp(-2 * h)) * d
                return kept + sqrt(1 - b) * sqrt(1 - exp(-2 * h)) * z, x_0
            return sqrt((1 - b) / (1 - a)) * x - sqrt(b) * (exp(-h) - 1) * d, x_0

        return step

    return propagated(between(i, a, b) for i, (a, b) in enumerate(pairs(left, times)))


def karras(sigmas, mean=0.0, std=1.0, churn=0.0, order=2):
    """Karras et al. (2022), algorithm 2 with S_noise 1 and no bounds; without churn algorithm 1; `order` 1 leaves out
    its lines 9 to 12. `sigmas` end with 0."""
    gamma = min(churn / (len(sigmas) - 1), sqrt(2) - 1)
    slope = lambda x, sigma: (x - told(x, 1.0, sigma, mean, std)) / sigma

    def between(now, then):
        raised = now * (1 + gamma)

        def step(x, before, z):
            hat = x + sqrt(raised**2 - now**2) * z
            d = slope(hat, raised)
            x = hat + (then - raised) * d
            if then > 0 and order == 2:
                x = hat + (then - raised) * (d / 2 + slope(x, then) / 2)
            return x, 0.0

        return step

    return propagated((between(*pair) for pair in zip(sigmas[:-1], sigmas[1:], strict=True)), sigmas[0])


def rk4(sigmas, mean=0.0, std=1.0):
    """Runge and Kutta's method of fourth order on eq. 4 of Karras et al. (2022), to the last sigma but 0, then D(x)."""
    slope = lambda x, sigma: (x - told(x, 1.0, sigma, mean, std)) / sigma
    steps = [runge_kutta(slope, *pair) for pair in zip(sigmas[:-2], sigmas[1:-1], strict=True)]
    last = lambda x, before, z: (told(x, 1.0, sigmas[-2], mean, std), 0.0)
    return propagated([*steps, last], sigmas[0])


def runge_kutta(slope, now, then):
    h = then - now

    def step(x, before, z):
        a = slope(x, now)
        b = slope(x + h / 2 * a, now + h / 2)
        c = slope(x + h / 2 * b, now + h / 2)
        d = slope(x + h * c, then)
        return x + h / 6 * (a + 2 * b + 2 * c + d), 0.0

    return step


def flow(t, mean=0.0, std=1.0, order=1):
    """Liu et al. (2023): dx/dt = E[epsilon - x_0 | x], x = (1 - t) x_0 + t epsilon; `order` 1 Euler, 2 Heun, 4 Runge
    and Kutta."""

    def slope(x, t):
        gain = (t - (1 - t) * std**2) / ((1 - t) ** 2 * std**2 + t**2)
        return gain * (x - (1 - t) * mean) - mean

    def heun(now, then):
        end = lambda x: x + (then - now) * slope(x, now)
        return lambda x, before, z: (x + (then - now) / 2 * (slope(x, now) + slope(end(x), then)), 0.0)

    euler = lambda now, then: lambda x, before, z: (x + (then - now) * slope(x, now), 0.0)
    method = {1: euler, 2: heun, 4: lambda now, then: runge_kutta(slope, now, then)}[order]
    return propagated(method(*pair) for pair in zip(t[:-1], t[1:], strict=True))
