"""The gates: how far two sets of arrays may differ, and which of them differs most."""

from typing import NamedTuple

import numpy as np

FORWARD = 1e-9  # of the tensor's scale: five decades above the round-off of a right port, four below the weakest fault
UPDATE = 1e-8  # of the learning rate


class Row(NamedTuple):
    """One level of a comparison: the worst error in units of its scale, the gate, and the array that is worst."""

    level: str
    error: float
    gate: float
    where: str
    compared: int
    left_out: tuple[str, ...] = ()

    @property
    def ok(self):
        return bool(self.error <= self.gate)

    def __str__(self):
        verdict = "ok" if self.ok else f"FAILED at {self.where}"
        reason = (
            f" (left out, their gradient is zero but for round-off: {', '.join(self.left_out)})"
            if self.left_out
            else ""
        )
        return f"{self.level}: {self.error:.1e} of {self.gate:.0e} over {self.compared} arrays, {verdict}{reason}"


def compare(level, have, want, gate=FORWARD, scale=None, floor=0.0):
    """-> Row. `have` and `want` are {name: array}; the scale of an array is `scale`, or its largest wanted value, at
    least `floor`."""
    if have.keys() != want.keys():
        odd = sorted(have.keys() ^ want.keys())
        return Row(level, float("inf"), gate, f"{odd[0]} (on one side only, as {len(odd)} in all)", 0)
    errors = {key: error(np.asarray(have[key]), np.asarray(want[key]), scale, floor) for key in want}
    where = max(errors, key=errors.get, default="")
    return Row(level, errors.get(where, 0.0), gate, where, len(errors))


def error(a, b, scale, floor):
    """The largest difference in units of the scale; infinite where kinds, shapes, NaNs or infinities differ."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    finite = np.isfinite(b)
    if not (np.array_equal(finite, np.isfinite(a)) and np.array_equal(a[~finite], b[~finite], equal_nan=True)):
        return float("inf")
    a, b = a[finite], b[finite]
    unit = scale or max(np.abs(b).max(initial=0.0), floor) or 1.0
    return float(np.abs(a - b).max(initial=0.0) / unit)


def structurally_zero(grads):
    """The arrays whose gradient is nothing but round-off, as that of a bias before BatchNorm: Adam divides it by its
    own size, so two right programs move these weights apart. A gradient of exactly zero moves nothing: compared."""
    bound = 1e-12 * largest(grads)
    return tuple(key for key, x in grads.items() if 0 < np.abs(x).max(initial=0.0) <= bound)


def largest(arrays):
    return max((float(np.abs(x).max(initial=0.0)) for x in arrays.values()), default=0.0)
