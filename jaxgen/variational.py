"""What the variational autoencoders share: likelihoods of pixels, found by name, the loss of a step and the bound.

A family has a net `vae` (`encode`, `reparameterize`, `decoder`, and `logvar` where the spread of pixels is learned) and
the arguments `likelihood`, `sigma`, `binarize`, `beta`, `beta_warmup`, `free_bits`, `importance` and `latent`."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxgen import axis, nn
from jaxgen.errors import UserError, one_of

Name = Literal["bernoulli", "continuous_bernoulli", "gaussian", "gaussian_learned", "documented"]
NEAR = 1.0  # below it a logit is near zero, where the usual formulas are differences of large numbers


class Likelihood(NamedTuple):
    """Of pixels x (rows, pixels), given what the decoder returns for them."""

    nats: Callable  # (out, x, log-variance of a pixel) -> (rows,): minus the logarithm of the density
    mean: Callable  # out -> the pixels' means, in the range of the data
    seen: Callable = lambda x: x  # the data as the encoder and the density see them


def named(name):
    one_of("likelihood", name, Name)
    return globals()[name]


def near_zero(l):
    """-> where |l| is small, l there and else 0, l elsewhere and else 1: two formulas of which one is taken, neither of
    them with an infinite slope where it is not."""
    near = jnp.abs(l) < NEAR
    return near, jnp.where(near, l, 0), jnp.where(near, 1, l)


def lambert(x):
    """f of x / tanh(x) = 1 + x^2 f by the continued fraction 1 / (3 + x^2 / (5 + x^2 / (7 + ...))), for small x."""
    f = 1 / 15
    for odd in (13, 11, 9, 7, 5, 3):
        f = 1 / (odd + x**2 * f)
    return f


def log_normaliser(l):
    """log C of logits l (Loaiza-Ganem & Cunningham, 2019, equation 6): of l / tanh(l / 2), which is 2 at 0."""
    near, small, l = near_zero(l)
    inner = math.log(2) + jnp.log1p((small / 2) ** 2 * lambert(small / 2))
    return jnp.where(near, inner, jnp.log(l / jnp.tanh(l / 2)))


def continuous_mean(l):
    """The mean of a pixel (equation 8 there), which is not the sigmoid of its logit."""
    near, small, l = near_zero(l)
    return jnp.where(near, 0.5 + small / 4 * lambert(small / 2), 0.5 + 0.5 / jnp.tanh(l / 2) - 1 / l)


def cross_entropy(out, x, logvar):
    return nn.binary_cross_entropy_with_logits(out, x, reduction="none").sum(1)


def normal_nats(out, x, logvar):
    return 0.5 * (math.log(2 * math.pi) + logvar + (x - out) ** 2 / jnp.exp(logvar)).sum(1)


bernoulli = Likelihood(cross_entropy, jax.nn.sigmoid)
continuous_bernoulli = Likelihood(
    lambda out, x, logvar: cross_entropy(out, x, logvar) - log_normaliser(out).sum(1), continuous_mean
)
gaussian = Likelihood(normal_nats, lambda out: out)
# one spread of all pixels, learned with the rest (Rybkin et al., 2021)
gaussian_learned = gaussian
# no likelihood: a mean over pixels beside a sum over latents, of data that the printed Normalize puts into [-1, 1]
documented = Likelihood(
    nats=lambda out, x, logvar: nn.mse_loss(jax.nn.sigmoid(out), x, reduction="none").mean(1),
    mean=lambda out: (jax.nn.sigmoid(out) + 1) / 2,
    seen=lambda x: 2 * x - 1,
)


def draw(family, key, batch, step):
    """The noise of the codes, the thresholds of pixels, and the part of `beta` that counts by now."""
    eps, threshold = jax.random.split(key)
    rows, codes = batch["image"].shape[0], (family.importance,) * (family.importance > 1)
    draws = {"eps": jax.random.normal(eps, (rows, *codes, family.latent))}
    if family.binarize == "dynamic":
        draws["threshold"] = jax.random.uniform(threshold, batch["image"].shape)
    if family.beta_warmup:
        part = 1.0 if step is None else jnp.minimum(1.0, (step + 1) / family.beta_warmup)
        draws["annealed"] = jnp.full((rows,), part, float)
    return draws


def binarized(family, batch, draws):
    """The images, gray or drawn as 0 or 1."""
    x = batch["image"]
    return (draws["threshold"] < x).astype(x.dtype) if family.binarize == "dynamic" else x


def divergence(mu, logvar):
    """(N, latent): of each normal distribution from the standard one, in nats (Kingma & Welling, 2014, appendix B)."""
    return -0.5 * (1 + logvar - mu**2 - jnp.exp(logvar))


def loss(family, x, draws):
    """-> the loss in nats an image, and its parts; x is what the encoder sees. Where beta is 1 and no nats are free, it
    is minus the bound on the evidence."""
    mu, logvar = family.vae.encode(x)
    eps = draws["eps"].reshape(x.shape[0], -1, family.latent)
    z, rec = decoded(family, x, mu, logvar, eps)
    kl = divergence(mu, logvar)
    if family.importance > 1:
        total = -log_evidence(z, rec, logvar, eps).mean()
    else:
        total = rec.mean() + family.beta * charged(family, kl, draws).mean()
    return total, {"loss": total, "rec": rec.mean(), "kl": kl.sum(1).mean()}


def charged(family, kl, draws):
    """What the divergence costs an image: with free bits the mean over the batch of each place of the code costs
    nothing below them (Kingma et al., 2016, appendix C), and as training begins only a part of it counts."""
    if family.free_bits:
        mean = axis.mean(kl.mean(0, keepdims=True))
        kl = jnp.where(mean < family.free_bits, family.free_bits, mean)
    return draws["annealed"] * kl.sum(1) if family.beta_warmup else kl.sum(1)


def decoded(family, x, mu, logvar, eps):
    """-> the codes z (N, K, latent) that eps gives, and minus log p(x | z), (N, K)."""
    z = family.vae.reparameterize(mu[:, None], logvar[:, None], eps)
    out = nn.full(family.vae.decoder(z.reshape(-1, family.latent)))
    out, x = out.reshape(out.shape[0], -1), jnp.repeat(x.reshape(x.shape[0], -1), eps.shape[1], 0)
    rec = named(family.likelihood).nats(out, x, jnp.asarray(spread(family), out.dtype))
    return z, rec.reshape(z.shape[:2])


def spread(family):
    """The log-variance of a pixel, for the likelihoods that have one."""
    learned = family.vae.logvar
    return 2 * math.log(family.sigma) if learned is None else learned[...]


def log_evidence(z, rec, logvar, eps):
    """(N,): log 1/K sum_k p(x, z_k) / q(z_k | x) (Burda et al., 2016, equation 8), of which some constants cancel."""
    log_weights = 0.5 * (logvar[:, None] + eps**2 - z**2).sum(2) - rec
    return jax.nn.logsumexp(log_weights, 1) - math.log(eps.shape[1])


def bound(family, x, eps):
    """`log_evidence` of what the encoder sees, for any number of codes an image."""
    if family.likelihood == "documented":
        raise UserError("bound: the documented loss is no likelihood. Train with another one.")
    if eps.ndim != 3 or eps.shape[::2] != (x.shape[0], family.latent):
        raise UserError(f"bound: expected eps ({x.shape[0]}, K, {family.latent}), got {tuple(eps.shape)}.")
    mu, logvar = family.vae.encode(x)
    return log_evidence(*decoded(family, x, mu, logvar, eps), logvar, eps)


def check(family, **widths):
    """The arguments, before anything is built."""
    named(family.likelihood)
    least = {"size": 1, "channels": 1, "latent": 1, "importance": 1, "beta": 0, "beta_warmup": 0, "free_bits": 0}
    for name, bottom in least.items():
        if not getattr(family, name) >= bottom:
            raise UserError(f"{name}: expected at least {bottom}, got {getattr(family, name)}.")
    for name, values in widths.items():
        if min(values, default=1) < 1:
            raise UserError(f"{name}: expected widths of at least 1, got {tuple(values)}.")
    if not family.sigma > 0:
        raise UserError(f"sigma: expected more than 0, got {family.sigma}.")
    if family.importance > 1 and family.likelihood == "documented":
        raise UserError("importance: the documented loss is no likelihood, so it has no weights. Leave one out.")
    if family.importance > 1 and (family.beta != 1 or family.beta_warmup or family.free_bits):
        told = "expected no beta, beta_warmup or free_bits beside it, as its bound has no divergence to weigh"
        raise UserError(f"importance {family.importance}: {told}.")
