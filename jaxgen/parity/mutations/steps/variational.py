"""Bounds of a VAE, and tables of codes, that are nearly right."""

import jax.numpy as jnp

from jaxgen import variational
from jaxgen.families import vqvae
from jaxgen.parity.mutations.planting import Replaced


def divergence(make):
    """`make(right, mu, logvar)` in place of the divergence of each number of a code."""
    return Replaced(variational, "divergence", lambda right: lambda mu, logvar: make(right, mu, logvar))


def divergence_negative(family):
    """The sign of the appendix, where the bound is maximised."""
    return divergence(lambda right, mu, logvar: -right(mu, logvar))


def deviation_in_the_divergence(family):
    """The encoder's second half taken for the logarithm of the deviation: KL(mu, 2 log sigma)."""
    return divergence(lambda right, mu, logvar: right(mu, 2 * logvar))


def mean_not_in_the_divergence(family):
    """mu**2 lost, as where a bracket is closed too early."""
    return divergence(lambda right, mu, logvar: right(jnp.zeros_like(mu), logvar))


def quantizer(name, make):
    """That method of the table of codes."""
    return Replaced(vqvae.VectorQuantizer, name, make)


def gradient_ends_at_the_code(family):
    """The decoder given the vectors themselves: the encoder learns nothing from its images."""
    return Replaced(vqvae, "straight_through", lambda right: lambda x, nearest: nearest)


def farthest_vector(family):
    """argmax of the distances, where other sources take that of the products."""
    return quantizer("choose", lambda right: lambda self, x: right(self, -x))


def decay_for_its_complement(family):
    """The weight of the new for that of the old, as momentum in torch's BatchNorm."""

    def make(right):
        def wrong(self, *rows):
            self.decay = 1 - self.decay
            right(self, *rows)
            self.decay = 1 - self.decay

        return wrong

    return quantizer("move", make)


def sizes_not_smoothed(family):
    """The averages divided without the appendix's eps: the same but for vectors that are hardly chosen."""
    return quantizer("shares", lambda right: lambda self: self.cluster_size / self.cluster_size.sum())
