"""What is done to a denoiser: guidance, bounds, known pixels. Each takes `denoise(x, node)` and returns another."""

import jax.numpy as jnp

from jaxgen.errors import UserError


def guided(denoise, weak, scale, low=0.0, high=float("inf")):
    """weak + scale (denoise - weak), where sigma / alpha lies in (low, high], else `denoise` alone.

    Classifier-free guidance (Ho & Salimans, 2022; their w is scale - 1) where `weak` has no condition, autoguidance
    (Karras et al., 2024a) where it is a smaller or less trained net, with an interval (Kynkaanniemi et al., 2024)."""

    def both(x, node):
        strong, other = denoise(x, node), weak(x, node)
        # at pure noise alpha is 0, and 0 times an infinite `high` would be no number
        inside = (node.sigma > low * node.alpha) & (node.sigma / high <= node.alpha)
        return jnp.where(inside, other + scale * (strong - other), strong)

    return both


def clipped(denoise, low=-1.0, high=1.0):
    """x_0 within the range of the data."""
    return lambda x, node: jnp.clip(denoise(x, node), low, high)


def thresholded(denoise, quantile=0.995, high=1.0):
    """Dynamic thresholding (Saharia et al., 2022): an image whose `quantile` of absolute values exceeds `high` is cut
    there and scaled back to [-high, high]."""
    if not 0 < quantile <= 1:
        raise UserError(f"quantile: expected more than 0 and at most 1, got {quantile}.")

    def bounded(x, node):
        x_0 = denoise(x, node)
        axes = tuple(range(1, x_0.ndim))
        reach = jnp.maximum(jnp.quantile(jnp.abs(x_0), quantile, axis=axes, keepdims=True), high)
        return jnp.clip(x_0, -reach, reach) * (high / reach)

    return bounded


def inpainted(denoise, known, mask):
    """`mask` 1: the pixels of `known`; 0: made. With `ancestral` the known part is the forward process of `known`
    itself, so the other part sees what it saw in training (Song et al., 2021, appendix I; Lugmayr et al., 2022)."""
    return lambda x, node: mask * known + (1 - mask) * denoise(x, node)
