"""What is done to a denoiser: guidance and bounds."""

import torch


def guided(denoise, weak, scale, low=0.0, high=float("inf")):
    """weak + scale (denoise - weak), where sigma / alpha lies in (low, high], else `denoise` alone."""

    def both(x, node):
        strong = denoise(x, node)
        if not low < node.ratio <= high:
            return strong
        other = weak(x, node)
        return other + scale * (strong - other)

    return both


def clipped(denoise, low=-1.0, high=1.0):
    """x_0 within the range of the data."""
    return lambda x, node: denoise(x, node).clamp(low, high)


def thresholded(denoise, quantile=0.995, high=1.0):
    """Dynamic thresholding (Saharia et al., 2022)."""

    def bounded(x, node):
        x_0 = denoise(x, node)
        reach = torch.quantile(x_0.flatten(1).abs(), quantile, dim=1).clamp(min=high)[:, None, None, None]
        return x_0.clamp(-reach, reach) * (high / reach)

    return bounded
