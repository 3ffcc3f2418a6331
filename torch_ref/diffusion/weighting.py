"""Weights of a diffusion loss, and the times at which it is asked."""

import torch


def weight(kind, prediction, alpha, sigma, gamma=5.0):
    """What the squared error of a prediction is multiplied with: 1, or min(SNR, gamma) in units of x_0 (Hang et al.,
    2023), SNR = (alpha / sigma)^2."""
    if kind == "uniform":
        return torch.ones_like(alpha)
    bounded = ((alpha / sigma) ** 2).clamp(max=gamma)
    return bounded * per_x0(prediction, alpha, sigma)


def per_x0(prediction, alpha, sigma):
    """The squared error of x_0 in units of that of a prediction."""
    return {
        "epsilon": lambda: (sigma / alpha) ** 2,
        "x0": lambda: torch.ones_like(alpha),
        "v": lambda: (sigma / (alpha**2 + sigma**2)) ** 2,
        "score": lambda: (sigma**2 / alpha) ** 2,
        "velocity": lambda: (sigma / (alpha + sigma)) ** 2,
    }[prediction]()


def edm_weight(sigma, sigma_data=0.5):
    """lambda of Karras et al. (2022), table 1."""
    return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2


def logit_normal(normal, mean=0.0, std=1.0):
    """t in (0, 1) of training a rectified flow, more often in the middle (Esser et al., 2024, section 3.1)."""
    return torch.sigmoid(mean + std * normal)
