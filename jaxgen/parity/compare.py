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
            f" (left out, their gradient is hardly more than round-off: {', '.join(self.left_out)})"
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


def noisy(grads):
    """{array: where its gradient is so small that round-off is seen in a step of Adam, which divides by its size}: the
    whole of a bias before BatchNorm (1e-17), and in millions of weights a few elements (below 1e-6 of the array's
    largest). Two right programs move these apart by more than the gate. Exactly zero moves nothing: compared."""
    bound = 1e-12 * largest(grads)
    small = lambda x: (np.abs(x) > 0) & (np.abs(x) <= max(bound, 1e-6 * np.abs(x).max(initial=0.0)))
    return {key: small(x) for key, x in grads.items() if small(x).any()}


def described(masks):
    """Whole arrays by name, parts of others with the number of their elements."""
    part = lambda key, mask: key if mask.all() else f"{key} ({mask.sum()} of {mask.size} elements)"
    return tuple(part(key, mask) for key, mask in masks.items())


def largest(arrays):
    return max((float(np.abs(x).max(initial=0.0)) for x in arrays.values()), default=0.0)
