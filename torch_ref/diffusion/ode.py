"""Solvers of an ordinary differential equation over given points: Euler, Heun, Runge-Kutta of fourth order.
`slope(x, node)` is dx/du, `clock(node)` is u."""

from itertools import pairwise


def euler(slope, x, path, clock):
    """First order; one look a step."""
    for now, then in pairwise(path):
        x = x + (clock(then) - clock(now)) * slope(x, now)
    return x


def heun(slope, x, path, clock):
    """Second order, two looks a step."""
    for now, then in pairwise(path):
        h = clock(then) - clock(now)
        first = slope(x, now)
        x = x + h * (first + slope(x + h * first, then)) / 2
    return x


def rk4(slope, x, path, clock):
    """Fourth order (Runge and Kutta), four looks a step; every other point of `path` is the middle of a step."""
    for now, middle, then in zip(path[:-2:2], path[1::2], path[2::2], strict=True):
        h = clock(then) - clock(now)
        a = slope(x, now)
        b = slope(x + h / 2 * a, middle)
        c = slope(x + h / 2 * b, middle)
        d = slope(x + h * c, then)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
    return x
