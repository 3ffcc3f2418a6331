"""The gates: how far two sets of arrays may differ, and which of them differs most."""

from typing import NamedTuple

import numpy as np

FORWARD = 1e-9  # of the tensor's scale: five decades above the round-off of a right port, four below the weakest fault
UPDATE = 1e-8  # of the learning rate
UNITS = {FORWARD: "of the array's largest value", UPDATE: "of the learning rate"}
LEVELS = {  # in the order of the table: what each one is
    "signatures": "definitions, arguments and declarations of both files",
    "names": "keys, shapes and types of the weights",
    "leaks": "operations narrower than float64 in the program",
    "outputs": "what every layer returns, in training",
    "losses": "losses and metrics",
    "gradients": "by the weights",
    "inputs": "gradients by batch and draws",
    "clipping": "gradients clipped to half of their norm",
    "evaluation": "what every layer returns, losses and metrics, in evaluation",
    "adversarial": "outputs, losses and gradients of zeros, ramps, ties, large means, saturated inputs, one row",
    "metrics": "of each step",
    "weights": "after each step",
    "optimizer": "states of the optimisers after each step",
    "statistics": "running statistics after each step",
    "averages": "running averages of weights and statistics",
    "samples": "from the same noise, in evaluation; they move nothing",
    "trajectory": "losses over a long run",
}


class Row(NamedTuple):
    """One level of a comparison: the error of each array in units of its scale (infinite where kinds, shapes, NaNs or
    keys differ), the gate, and what is left out with its reason. `in_order`: a fault is inherited by all arrays behind
    it, so the first beyond the gate is the one to look at."""

    level: str
    errors: dict[str, float]
    gate: float = FORWARD
    left_out: dict[str, str] = {}
    in_order: bool = False

    @property
    def ok(self):
        return all(error <= self.gate for error in self.errors.values())

    @property
    def where(self):
        late = (key for key, error in self.errors.items() if not error <= self.gate)
        first = next(late, None) if self.in_order else None
        return first or max(self.errors, key=lambda key: self.errors[key], default="")

    @property
    def error(self):
        return self.errors.get(self.where, 0.0)

    @property
    def compared(self):
        return len(self.errors)

    def __str__(self):
        verdict = "ok" if self.ok else f"FAILED at {self.where}"
        reasons = "".join(f"; {key} left out: {reason}" for key, reason in self.left_out.items())
        return f"{self.level}: {self.error:.1e} of {self.gate:.0e} over {self.compared} arrays, {verdict}{reasons}"


def compare(level, have, want, gate=FORWARD, scale=None, floor=0.0, **more):
    """-> Row. `have` and `want` are {name: array}; the scale of an array is `scale`, or its largest wanted value, at
    least `floor`."""
    odd = have.keys() ^ want.keys()
    errors = {f"{key} (on one side only)": float("inf") for key in [*want, *have] if key in odd}
    both = [key for key in want if key not in odd]
    errors |= {key: error(np.asarray(have[key]), np.asarray(want[key]), scale, floor) for key in both}
    return Row(level, errors, gate, **more)


def error(a, b, scale=None, floor=0.0):
    """The largest difference in units of the scale; infinite where kinds, shapes, NaNs or infinities differ."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    finite = np.isfinite(b)
    if not (np.array_equal(finite, np.isfinite(a)) and np.array_equal(a[~finite], b[~finite], equal_nan=True)):
        return float("inf")
    a, b = a[finite].astype(float), b[finite].astype(float)
    unit = scale or max(np.abs(b).max(initial=0.0), floor) or 1.0
    return float(np.abs(a - b).max(initial=0.0) / unit)


def merged(rows):
    """{who: rows} -> one row a level; each array's name begins with who."""
    levels: dict[str, Row] = {}
    for who, row in rows:
        before = levels.get(row.level, row._replace(errors={}, left_out={}))
        named = {f"{who}: {key}" if who else key: error for key, error in row.errors.items()}
        levels[row.level] = before._replace(errors=before.errors | named, left_out=before.left_out | row.left_out)
    return list(levels.values())


def noisy(grads):
    """{array: where its gradient is so small that round-off is seen in a step of Adam, which divides by its size}: the
    whole of a bias before BatchNorm (1e-17), and in millions of weights a few elements (below 1e-6 of the array's
    largest). Two right programs move these apart by more than the gate. Exactly zero moves nothing: compared."""
    bound = 1e-12 * largest(grads)
    small = lambda x: (np.abs(x) > 0) & (np.abs(x) <= max(bound, 1e-6 * np.abs(x).max(initial=0.0)))
    return {key: small(x) for key, x in grads.items() if small(x).any()}


def described(masks):
    """{array, or the number of its elements: why it is left out}."""
    part = lambda key, mask: key if mask.all() else f"{key} ({mask.sum()} of {mask.size} elements)"
    return {part(key, mask): "its gradient is hardly more than round-off" for key, mask in masks.items()}


def largest(arrays):
    return max((float(np.abs(x).max(initial=0.0)) for x in arrays.values()), default=0.0)
