"""Solvers of an ordinary differential equation over given points: Euler, Heun, Runge-Kutta of fourth order.

`slope(x, node)` is dx/du, u being a clock with a value for each point: t for a rectified flow, whose network tells the
slope itself, also at the data. For those who look at a denoiser see `karras.py`."""

from typing import Any, NamedTuple

import numpy as np

from jaxgen.diffusion.scan import loop
from jaxgen.diffusion.schedules import at_least_single
from jaxgen.errors import UserError


class Step(NamedTuple):
    """The points of each step, and how far its clock goes; `steps` values each."""

    now: Any
    then: Any
    h: Any


def euler(slope, x, path, clock, frames=0):
    """First order; one look a step."""

    def step(carry, row):
        (x,) = carry
        return (x + row.h * slope(x, row.now),)

    return loop(step, (x,), steps_of(path, clock, x), frames)


def heun(slope, x, path, clock, frames=0):
    """Second order, two looks a step."""

    def step(carry, row):
        (x,) = carry
        first = slope(x, row.now)
        second = slope(x + row.h * first, row.then)
        return (x + row.h * (first + second) / 2,)

    return loop(step, (x,), steps_of(path, clock, x), frames)


def rk4(slope, x, path, clock, frames=0):
    """Fourth order (Runge and Kutta), four looks a step. `path` and `clock` have the points between too: every other
    one, at the middle of its step."""
    if len(clock) % 2 == 0:
        raise UserError(f"rk4: expected an odd number of points, the middle of each step too, got {len(clock)}")
    whole = steps_of(path[::2], clock[::2], x)
    middle = at_least_single(path[1::2], x)

    def step(carry, row):
        (x,), (row, middle) = carry, row
        a = slope(x, row.now)
        b = slope(x + row.h / 2 * a, middle)
        c = slope(x + row.h / 2 * b, middle)
        d = slope(x + row.h * c, row.then)
        return (x + row.h / 6 * (a + 2 * b + 2 * c + d),)

    return loop(step, (x,), (whole, middle), frames)


def steps_of(path, clock, x):
    return at_least_single(Step(path[:-1], path[1:], np.diff(clock)), x)
