"""What a network may predict, and how each is told by the others, for x = alpha x_0 + sigma epsilon.

epsilon                          the noise (Ho et al., 2020)
x0                               the data
v = alpha epsilon - sigma x_0    (Salimans & Ho, 2022)
score = -epsilon / sigma         the gradient of log p(x) by x (Song et al., 2021)
velocity = epsilon - x_0         dx/dt of a rectified flow (Liu et al., 2023)"""

from typing import Literal

Prediction = Literal["epsilon", "x0", "v", "score", "velocity"]


def target(kind: Prediction, x_0, epsilon, alpha, sigma):
    """What a network of this kind is to predict."""
    return {
        "epsilon": lambda: epsilon,
        "x0": lambda: x_0,
        "v": lambda: alpha * epsilon - sigma * x_0,
        "score": lambda: -epsilon / sigma,
        "velocity": lambda: epsilon - x_0,
    }[kind]()


def to_x0(kind: Prediction, told, x, alpha, sigma):
    """x_0 from what a network told of x."""
    return {
        "epsilon": lambda: (x - sigma * told) / alpha,
        "x0": lambda: told,
        "v": lambda: (alpha * x - sigma * told) / (alpha**2 + sigma**2),
        "score": lambda: (x + sigma**2 * told) / alpha,
        "velocity": lambda: (x - sigma * told) / (alpha + sigma),
    }[kind]()


def to_epsilon(x_0, x, alpha, sigma):
    """The noise that makes x of x_0."""
    return (x - alpha * x_0) / sigma


def convert(told, x, alpha, sigma, source: Prediction, to: Prediction):
    """A prediction of one kind as one of another; `x` is what the network saw."""
    x_0 = to_x0(source, told, x, alpha, sigma)
    return target(to, x_0, to_epsilon(x_0, x, alpha, sigma), alpha, sigma)
