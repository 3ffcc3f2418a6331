"""The other side of `test_diffusers.py`: a scheduler of diffusers as a function of a network, a start and its noise.

The network is exact, so there are no weights: the mean of x_0 given x, for data of three Gaussians, told as epsilon, v
or whatever is asked for. It is written once for NumPy and for JAX."""

import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch

MEAN = np.array([[1.0, 0.2], [-0.6, 0.8], [-0.5, -0.9]])
VARIANCE, SHARE = np.array([0.04, 0.09, 0.02]), np.array([0.5, 0.3, 0.2])


def mixture(x, alpha, sigma, lib):
    """E[x_0 | x] of the mixture; x (N, 2, 1)."""
    mean, variance, share = (lib.asarray(value) for value in (MEAN, VARIANCE, SHARE))
    spread = alpha**2 * variance + sigma**2
    off = x.reshape(-1, 1, 2) - alpha * mean
    likely = lib.log(share) - lib.log(spread) - (off**2).sum(-1) / (2 * spread)
    weight = lib.exp(likely - likely.max(-1, keepdims=True))
    each = mean + (alpha * variance / spread)[:, None] * off
    return ((weight[..., None] * each).sum(1) / weight.sum(-1, keepdims=True)).reshape(x.shape)


def told(kind, x_0, x, alpha, sigma):
    """What a network says that knows x_0, in the words of diffusers. "edm" is F of Karras et al. (2022), eq. 7."""
    epsilon = (x - alpha * x_0) / sigma
    return {
        "epsilon": lambda: epsilon,
        "sample": lambda: x_0,
        "v_prediction": lambda: alpha * epsilon - sigma * x_0,
        "flow_prediction": lambda: epsilon - x_0,
        "edm": lambda: (x_0 - x * 0.25 / (sigma**2 + 0.25)) / (sigma * 0.5) * (sigma**2 + 0.25) ** 0.5,
    }[kind]()


def at(clock, time, lib):
    """alpha and sigma at what a network is told: a step of the table of angles, ln(sigma) / 4, or 1000 t."""
    if not isinstance(clock, str):
        angle = lib.interp(time, lib.arange(len(clock), dtype=lib.float64), clock)
        return lib.cos(angle), lib.sin(angle)
    return (1.0, lib.exp(4 * time)) if clock == "edm" else (1 - time / 1000, time / 1000)


def network(kind, clock):
    """-> what a pipeline of diffusers calls; in float64."""

    def net(x, t):
        x, (alpha, sigma) = x.double().numpy(), at(clock, t.double().numpy(), np)
        x = x * (sigma**2 + 0.25) ** 0.5 if kind == "edm" else x
        return torch.from_numpy(told(kind, mixture(x, alpha, sigma, np), x, alpha, sigma))

    return net


class Float64:
    """A library without float32."""

    def __init__(self, library):
        self.library = library

    def __getattr__(self, name):
        return getattr(self.library, "float64" if name == "float32" else name)


@contextmanager
def given(scheduler, noise, double):
    """Within, the module of a scheduler takes its noise from a list; with `double` it knows no float32 either: its
    tables are otherwise made in float32, and some of its steps too."""
    module, draws = sys.modules[scheduler.__module__], iter(noise)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "randn_tensor", lambda *_, **__: next(draws), raising=False)
        if double:
            patch.setattr(module, "torch", Float64(torch))
            patch.setattr(module, "np", Float64(np), raising=False)
            torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def trajectory(scheduler, config, points, net, x, noise, double=True, **step):
    """-> (steps + 1, *x.shape): x after each step. `points` are the arguments of `set_timesteps`."""
    with given(scheduler, torch.as_tensor(noise), double):
        made = scheduler(**config)
        made.set_timesteps(**points)
        frames = [torch.as_tensor(x)]
        for t in made.timesteps:
            seen = made.scale_model_input(frames[-1], t) if hasattr(made, "scale_model_input") else frames[-1]
            frames.append(made.step(net(seen, t), t, frames[-1], **step).prev_sample)
    frames = [*frames[:-1:2], frames[-1]] if made.order == 2 else frames
    return torch.stack(frames).double().numpy()
