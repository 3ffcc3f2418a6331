"""The least that a training loss can come to, because x does not tell what it was made of; and what a network comes to.

`left` is a table of alpha-bar. All losses are means over the dimensions, times drawn as in training."""

from math import erf, exp, log, pi, sqrt
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.diffusion.prediction import Prediction, target
from jaxgen.diffusion.schedules import at_least_single
from jaxgen.errors import UserError
from jaxgen.nn.losses import l1_loss, mse_loss, smooth_l1_loss

Loss = Literal["l2", "l1", "huber"]
LOSSES = {"l2": mse_loss, "l1": l1_loss, "huber": smooth_l1_loss}


def epsilon(left, std=1.0, loss: Loss = "l2"):
    """Of the loss of Ho et al. (2020), eq. 14, on N(0, std^2), every step as likely: epsilon given x is normal
    with variance v = alpha-bar std^2 / (alpha-bar std^2 + 1 - alpha-bar), and its mean is the best guess."""
    left = np.asarray(left, np.float64)
    v = left * std**2 / (left * std**2 + 1 - left)
    if loss == "l2":
        return float(v.mean())
    return float(np.sqrt(2 * v / pi).mean() if loss == "l1" else np.mean([huber(each) for each in v]))


def huber(v):
    """The mean of smooth L1 (beta 1) of N(0, v)."""
    z = 1 / sqrt(v)
    density, below = exp(-(z**2) / 2) / sqrt(2 * pi), (1 + erf(z / sqrt(2))) / 2
    return v / 2 * ((2 * below - 1) - 2 * z * density) + 2 * sqrt(v) * density - (1 - below)


def flow(std=1.0):
    """Of flow matching (Liu et al., 2023, eq. 1) on N(0, std^2), t uniform in [0, 1]: std^2 / ((1 - t)^2 std^2 + t^2)
    at t, and its integral."""
    return pi * std / 2


EDM = 1.0  # of the weighted loss of Karras et al. (2022), eq. 108, on N(0, sigma_data^2), whatever sigma is


def entropy(std=1.0):
    """Nats per dimension of N(m, std^2): its mean negative log-likelihood under itself."""
    return log(2 * pi * np.e * std**2) / 2


def entropy_bits(std=1.0):
    return entropy(std) / log(2)


def prior_kl(last, square=1.0):
    """KL(N(sqrt(last) x, 1 - last) | N(0, 1)), nats per dimension, for data of which E x^2 is `square` (L_T in eq. 5 of
    Ho et al., 2020)."""
    return (last * square + (1 - last) - 1 - float(np.log1p(-last))) / 2


def held_out(predict, kind: Prediction, data, path, key, draws=131072, loss: Loss = "l2", weight=None):
    """The loss of a network on data that it never saw -> its mean, and the standard error of that.

    `predict(x, node)` tells what `kind` says, x being (draws, ...) and the node having (draws,) values; each draw has a
    point of `path` (steps,), all as likely, and `weight(node)` (draws,) if there is one. With `data.predict` in place
    of the network it comes to the floor."""
    if loss not in LOSSES or draws < 2:
        raise UserError(f"held_out: expected l2, l1 or huber and at least 2 draws, got {loss!r} and {draws}.")
    keys = jax.random.split(key, 3)
    x_0 = data.sample(keys[0], draws)
    noise = jax.random.normal(keys[1], x_0.shape, x_0.dtype)
    which = jax.random.randint(keys[2], (draws,), 0, len(path.time))
    node = at_least_single(path, x_0)[which]
    alpha, sigma = (value.reshape(-1, *[1] * (x_0.ndim - 1)) for value in (node.alpha, node.sigma))
    told = predict(alpha * x_0 + sigma * noise, node)
    each = LOSSES[loss](told, target(kind, x_0, noise, alpha, sigma), reduction="none").mean(range(1, x_0.ndim))
    each = each if weight is None else each * weight(node)
    return float(each.mean()), float(jnp.std(each, ddof=1)) / draws**0.5
