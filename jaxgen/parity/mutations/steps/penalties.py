"""Slopes of a critic along images, and what is made of them."""

import jax
import jax.numpy as jnp

from jaxgen.nn import gradients
from jaxgen.parity.mutations.planting import Replaced


def slopes_not_differentiated(family):
    """create_graph=False, or the gradient taken on the host: the penalty is a number that trains nothing."""
    return Replaced(gradients, "slopes", lambda right: lambda *given: jax.lax.stop_gradient(right(*given)))


def slopes_of_the_mean(family):
    """The gradient of the mean score, where the source takes that of the sum: N times too small."""
    return Replaced(gradients, "slopes", lambda right: lambda net, call, x: right(net, call, x) / x.shape[0])


def slopes_elsewhere(family):
    """Slopes at the images' mirror image: one of the two orders of mixing, or of the two kinds of images."""
    return Replaced(gradients, "slopes", lambda right: lambda net, call, x: right(net, call, -x))


def norm_of_each_pixel(family):
    """norm(2, dim=1) of gradients that were not flattened: a slope a pixel, not an image."""
    flat = lambda x: jnp.sqrt((x**2).sum(-1) + 1e-12).reshape(x.shape[0], -1).mean(1)
    return Replaced(gradients, "row_norm", lambda right: flat)


def norm_not_rooted(family):
    """The squared norm against 1."""
    return Replaced(gradients, "row_norm", lambda right: lambda x: right(x) ** 2)


def norm_of_the_batch(family):
    """One norm over all images: linalg.norm without an axis."""
    whole = lambda x: jnp.full(x.shape[0], jnp.sqrt((x**2).sum()))
    return Replaced(gradients, "row_norm", lambda right: whole)
