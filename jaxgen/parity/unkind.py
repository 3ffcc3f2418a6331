"""Inputs that show what random ones hide: ties and kinks, shifts, small differences of large numbers, saturation."""

import jax
import numpy as np


def unkind(given):
    """{kind: `given` with other values in its floating leaves}."""
    kinds = {"zeros": zeros, "ramp": ramp, "ties": ties, "large mean": large_mean, "saturation": saturation}
    change = lambda make: lambda x: make(x) if np.issubdtype(x.dtype, np.floating) else x
    return {kind: jax.tree.map(change(make), given) for kind, make in kinds.items()}


def zeros(x):
    return np.zeros_like(x)


def ramp(x):
    """Rising along every axis in its own steps: a shifted, mirrored or transposed image is another one."""
    places = [np.arange(n, dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1 - i)) for i, n in enumerate(x.shape)]
    return sum((place * 0.7**i / n for i, (place, n) in enumerate(zip(places, x.shape, strict=True))), np.zeros_like(x))


def ties(x):
    """Three values only: maxima are shared, differences are exactly zero."""
    return np.clip(np.round(x), -1, 1)


def large_mean(x):
    """Not of a number a row: that is a time or a strength, of whose exponential only infinity would be left."""
    return x + 1000 if x.ndim > 1 else x


def saturation(x):
    return 30 * x
