"""Data of which everything is known: Gaussians and mixtures of them, and what is left of them at a point of a schedule.

For x = alpha x_0 + sigma epsilon, x_0 ~ N(m, s^2), the density of x is N(alpha m, v), v = alpha^2 s^2 + sigma^2, and

    E[x_0 | x] = m + alpha s^2 (x - alpha m) / v        score = -(x - alpha m) / v

(Bishop, 2006, eq. 2.116). Of a mixture they are the means over its components, each weighted with the probability that
x is of it. `x` is (N, ...); a node has one alpha and one sigma, or one for each of the N."""

from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.diffusion.prediction import Prediction, target
from jaxgen.diffusion.schedules import Node, at_least_single
from jaxgen.errors import UserError

DATA = Node(np.asarray(0.0), np.asarray(1.0), np.asarray(0.0))


class Gaussian:
    """N(mean, std^2), independent dimensions. `mean`, `std` > 0: a number, or an array of the shape of one x."""

    def __init__(self, mean=0.0, std=1.0):
        self.mean, self.std = (np.asarray(value, np.float64) for value in (mean, std))
        check(self.mean, self.std)
        try:
            self.shape = of_one(np.broadcast_shapes(self.mean.shape, self.std.shape))
        except ValueError:
            told = f"{self.mean.shape} and {self.std.shape}"
            raise UserError(f"mean, std: expected one shape, or a number and a shape, got {told}.") from None

    def denoise(self, x, node):
        """E[x_0 | x], shaped as x; every sampler of `jaxgen.diffusion.samplers` takes it."""
        return parts(x, node, self.mean, self.std)[0]

    def score(self, x, node):
        """The gradient of log p(x) by x, shaped as x."""
        return parts(x, node, self.mean, self.std)[1]

    def log_prob(self, x, node=DATA):
        """(N,), nats; of the data, or of what they are at `node`."""
        return parts(x, node, self.mean, self.std)[2]

    def predict(self, kind: Prediction, x, node):
        """What the best network of this kind tells of x."""
        return predict(self, kind, x, node)

    def sample(self, key, count):
        """(count, ...) in the default float."""
        return at_least_single(self.mean, key_float()) + self.std * jax.random.normal(key, (count, *self.shape))


class Mixture:
    """Components N(means[k], stds[k]^2) with `weights` (K,) that sum to 1; `means` (K,) or (K, ...), `stds` > 0, shaped
    as `means` or one number a component."""

    def __init__(self, weights, means, stds):
        self.weights, means, stds = (np.asarray(value, np.float64) for value in (weights, means, stds))
        kinds = self.weights.shape
        if len(kinds) != 1 or np.any(self.weights < 0) or not np.isclose(self.weights.sum(), 1, rtol=0, atol=1e-9):
            raise UserError(f"weights: expected one per component, none negative, sum 1, got {self.weights.tolist()}.")
        if means.shape[:1] != kinds or stds.shape[:1] != kinds or stds.ndim not in (1, means.ndim):
            raise UserError(f"means, stds: expected {kinds[0]} each, got the shapes {means.shape} and {stds.shape}.")
        check(means, stds)
        self.shape = of_one(means.shape[1:])
        self.means = means.reshape(*kinds, *self.shape)
        self.stds = stds.reshape(*kinds, *([1] * len(self.shape) if stds.ndim == 1 else self.shape))

    def denoise(self, x, node):
        """E[x_0 | x], shaped as x; every sampler of `jaxgen.diffusion.samplers` takes it."""
        return self.blend(x, node)[0]

    def score(self, x, node):
        """The gradient of log p(x) by x, shaped as x."""
        return self.blend(x, node)[1]

    def log_prob(self, x, node=DATA):
        """(N,), nats; of the data, or of what they are at `node`."""
        return self.blend(x, node)[2]

    def predict(self, kind: Prediction, x, node):
        """What the best network of this kind tells of x."""
        return predict(self, kind, x, node)

    def sample(self, key, count):
        """(count, ...) in the default float."""
        which, noise = jax.random.split(key)
        chosen = jax.random.choice(which, len(self.weights), (count,), p=jnp.asarray(self.weights))
        means, stds = at_least_single((self.means, self.stds), key_float())
        return means[chosen] + stds[chosen] * jax.random.normal(noise, (count, *self.shape))

    def blend(self, x, node):
        """-> E[x_0 | x], score, log p(x)."""
        each = jax.vmap(lambda mean, std: parts(x, node, mean, std))
        denoised, score, log_prob = each(*at_least_single((self.means, self.stds), x))
        joint = log_prob + jnp.log(at_least_single(self.weights, x))[:, None]
        share = jax.nn.softmax(joint, axis=0)
        mean = lambda value: (share.reshape(*share.shape, *[1] * (x.ndim - 1)) * value).sum(0)
        return mean(denoised), mean(score), jax.nn.logsumexp(joint, axis=0)


def parts(x, node, mean, std):
    """-> E[x_0 | x], score, log p(x) of one Gaussian."""
    mean, std = at_least_single((mean, std), x)
    alpha, sigma = beside(node, x)
    variance = (alpha * std) ** 2 + sigma**2
    apart = x - alpha * mean
    log_prob = -0.5 * (apart**2 / variance + jnp.log(2 * jnp.pi * variance))
    return mean + alpha * std**2 * apart / variance, -apart / variance, log_prob.sum(range(1, x.ndim))


def predict(data, kind: Prediction, x, node):
    if kind not in get_args(Prediction):
        raise UserError(f"prediction: expected one of {', '.join(get_args(Prediction))}, got {kind!r}.")
    alpha, sigma = beside(node, x)
    epsilon = -sigma * data.score(x, node)  # by the score, which is finite also where alpha or sigma is 0
    return target(kind, data.denoise(x, node), epsilon, alpha, sigma)


def beside(node, x):
    """alpha, sigma as they are broadcast against x."""
    values = at_least_single((node.alpha, node.sigma), x)
    return tuple(value.reshape(*value.shape, *[1] * (x.ndim - value.ndim)) if value.ndim else value for value in values)


def key_float():
    """What jax.random.normal makes now: float32, or float64."""
    return jnp.zeros(())


def of_one(shape):
    """The shape of one x: of a number (1,)."""
    return shape or (1,)


def check(mean, std):
    if not np.all(np.isfinite(mean)) or not np.all(std > 0) or not np.all(np.isfinite(std)):
        raise UserError(f"mean, std: expected finite numbers, std more than 0, got {mean.tolist()} and {std.tolist()}.")
