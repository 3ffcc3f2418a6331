"""Averages of weights whose width is chosen after training (Karras et al., 2024, "Analyzing and Improving the Training
Dynamics of Diffusion Models", section 3 and appendix C).

After t steps an average weighs the weights of step k as the integral of p(tau) = (g + 1) tau^g / t^(g + 1) over
[k - 1, k]. Its width is the standard deviation of p as a part of t, whatever t is. A few such averages, stored now and
then, span any other one closely enough."""

import jax.numpy as jnp
import numpy as np

from jaxgen.errors import UserError

WIDEST = 0.28  # the profile of 0.2887 is even, g = 0


def name(width):
    """What an average is called in a state and in files."""
    return str(float(width))


def exponent(width):
    """g of a width: the largest root of width^2 (g + 2)^2 (g + 3) = g + 1."""
    if not 0 < width <= WIDEST:
        raise UserError(f"width of an average: expected more than 0 and at most {WIDEST}, got {width}.")
    roots = np.roots([1, 7, 16 - width**-2, 12 - width**-2])
    return float(roots.real.max())


def share(width, step):
    """Of the weights after the update `step` = 1, 2, ...: 1 - (1 - 1 / step)^(g + 1), without a difference of numbers
    that are nearly one."""
    return -jnp.expm1((exponent(width) + 1) * jnp.log1p(-1.0 / step))


def products(a, s, b, t):
    """The integrals of p_a, after s steps, times p_b, after t steps; a and b are exponents."""
    early, late = np.minimum(s, t), np.maximum(s, t)
    both = (a + 1) * (b + 1) / (a + b + 1)
    return both * (early / late) ** np.where(s > t, a, b) / late


def coefficients(stored, width, step):
    """Of `stored` [(width, step)]: their sum with these coefficients has a profile as near as can be to that of `width`
    after `step`, in the mean square."""
    g, t = np.array([(exponent(width), step) for width, step in stored], np.float64).T
    matrix = products(g[:, None], t[:, None], g, t)
    return np.linalg.lstsq(matrix, products(g, t, exponent(width), float(step)), rcond=None)[0]
