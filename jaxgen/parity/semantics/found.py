"""What a check can find, and whether that is what its row says. All errors are in units of the largest value wanted."""

from typing import Any, NamedTuple

import numpy as np

from jaxgen.parity.compare import error

ROUND_OFF = 1e-12  # of float64, over the few operations of a check
DIFFERENT = 1e-6


def off(want, *have):
    """The error of each of `have`; infinite for another shape, NaN or infinity."""
    return [error(np.asarray(x, float), np.asarray(want, float)) for x in have]


class Differs(NamedTuple):
    """The errors of what one would write, every one of which must be seen, and of what is to be written instead.
    `stated`: how far a default is from the value that the row says it has."""

    naive: list[float]
    mapped: list[float]
    bound: float = ROUND_OFF
    least: float = DIFFERENT
    stated: list[float] = []

    def fault(self, row):
        if not all(e > self.least for e in self.naive):
            return f"no longer so: the default is off by {min(self.naive):.0e} only"
        if not all(e <= ROUND_OFF for e in self.stated):
            return "no longer so: the default is another than the row says"
        return beyond(self.mapped, self.bound)


class Agrees(NamedTuple):
    """The errors of what one would write, which is right."""

    mapped: list[float]
    bound: float = ROUND_OFF

    def fault(self, row):
        return beyond(self.mapped, self.bound)


class Fact(NamedTuple):
    """What each side says of itself, which the row must quote in backticks; errors where there is something to do."""

    torch: Any
    jax: Any
    mapped: list[float] = []
    bound: float = ROUND_OFF

    def fault(self, row):
        for side, text, value in (("torch", row.torch, self.torch), ("jax", row.jax, self.jax)):
            if f"`{value}`" not in text:
                return f"no longer so: {side} says {value}"
        return beyond(self.mapped, self.bound)


class Broken(NamedTuple):
    """The check could not run: a name is gone, an argument is new."""

    error: str

    def fault(self, row):
        return f"no longer runs: {self.error}"


def beyond(errors, bound):
    return "" if all(e <= bound for e in errors) else f"what to do is off by {max(errors):.0e}, allowed is {bound:.0e}"


def number(error):
    """One digit: 2, 0.04, 3e-08."""
    return "∞" if error == np.inf else f"{error:.1g}"


def cells(found, told=number):
    """-> how far off what one would write is, and what is to be written; `told` says it of the second."""
    naive, mapped = getattr(found, "naive", []), getattr(found, "mapped", [])
    return number(min(naive)) if naive else "", told(max(mapped)) if mapped else ""
