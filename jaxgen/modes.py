"""Which modes of a mixture in the plane a generator finds: the ring and the grid on which mode collapse is measured.

from jaxgen import modes
found = modes.coverage(points, *modes.ring)    # points (N, 2): of how many modes, how good, how even
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy

SAMPLES = 2500  # of a generator (Srivastava et al., 2017)
REACH = 3.0  # standard deviations (the same)
EDGE = 0.8  # the outermost centre where images are: a Tanh never comes to 1


class Modes(NamedTuple):
    """Gaussians N(centres[k], sigma^2) in the plane, all as likely."""

    centres: np.ndarray  # (K, 2)
    sigma: float

    @property
    def scale(self):
        """What the plane is divided by to lie in [-1, 1] with all its modes."""
        return float(np.abs(self.centres).max()) / EDGE

    def sample(self, key, count):
        """(count, 2) in the default float."""
        which, noise = jax.random.split(key)
        centre = jnp.asarray(self.centres)[jax.random.randint(which, (count,), 0, len(self.centres))]
        return centre + self.sigma * jax.random.normal(noise, (count, 2))


class Coverage(NamedTuple):
    found: jax.Array  # modes
    quality: jax.Array  # share of the points that are of high quality
    kl: jax.Array  # nats


def on_ring(count, radius):
    angles = 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angles), np.sin(angles)], 1)


def on_grid(*places):
    return np.stack(np.meshgrid(places, places, indexing="ij"), -1).reshape(-1, 2)


# as in the code of Gulrajani et al. (2017); that of Lin et al. (2018) halves both numbers
ring = Modes(on_ring(8, 2.0), 0.02)
# as in the code of both
grid = Modes(on_grid(-4.0, -2.0, 0.0, 2.0, 4.0), 0.05)


def coverage(points, centres, sigma):
    """points: (N, 2), centres: (K, 2), in one unit. A point is of high quality if it lies at most three standard
    deviations from the nearest centre; a mode is found if it is the nearest of at least one such point (Srivastava et
    al., 2017). KL(shares of all points by their nearest mode | uniform), nats: 0 if even, log K at one mode."""
    apart = jnp.sqrt(((points[:, None] - jnp.asarray(centres)) ** 2).sum(-1))
    nearest = jax.nn.one_hot(apart.argmin(1), len(centres))
    good = apart.min(1) <= REACH * sigma  # what is no number is not
    shares = nearest.mean(0)
    found = (nearest * good[:, None]).any(0).sum()
    return Coverage(found, good.mean(), xlogy(shares, shares * len(centres)).sum())
