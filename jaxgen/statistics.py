"""What is said of several runs: a mean, and how far it can be trusted."""

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]  # SciPy comes with JAX


def half_width(values):
    """(runs, ...) -> mean, half the width of the 95 % interval of Student (1908); 0 of one run, which has none."""
    x = np.asarray(values, np.float64)
    n = len(x)
    return x.mean(0), stdtrit(n - 1, 0.975) * x.std(0, ddof=1) / n**0.5 if n > 1 else np.zeros(x.shape[1:])
