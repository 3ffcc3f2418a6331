"""What the variational autoencoders share: likelihoods of pixels, found by name, the loss of a step and the bound.

A family has a net `vae` (`encode`, `reparameterize`, `decoder`, and `logvar` where the spread of pixels is learned) and
the arguments `likelihood`, `sigma`, `binarize`, `beta`, `beta_warmup`, `free_bits`, `importance` and `latent`."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch.nn import functional as F

Name = Literal["bernoulli", "continuous_bernoulli", "gaussian", "gaussian_learned", "documented"]
NEAR = 1.0  # below it a logit is near zero, where the usual formulas are differences of large numbers


class Likelihood(NamedTuple):
    """Of pixels x (rows, pixels), given what the decoder returns for them."""

    nats: Callable  # (out, x, log-variance of a pixel) -> (rows,): minus the logarithm of the density
    mean: Callable  # out -> the pixels' means, in the range of the data
    seen: Callable = lambda x: x  # the data as the encoder and the density see them


def named(name):
    return globals()[name]


def near_zero(l):
    """-> where |l| is small, l there and else 0, l elsewhere and else 1: two formulas of which one is taken, neither of
    them with an infinite slope where it is not."""
    near = l.abs() < NEAR
    return near, torch.where(near, l, 0), torch.where(near, 1, l)


def lambert(x):
    """f of x / tanh(x) = 1 + x^2 f by the continued fraction 1 / (3 + x^2 / (5 + x^2 / (7 + ...))), for small x."""
    f = 1 / 15
    for odd in (13, 11, 9, 7, 5, 3):
        f = 1 / (odd + x**2 * f)
    return f


def log_normaliser(l):
    """log C of logits l (Loaiza-Ganem & Cunningham, 2019, equation 6): of l / tanh(l / 2), which is 2 at 0."""
    near, small, l = near_zero(l)
    inner = math.log(2) + torch.log1p((small / 2) ** 2 * lambert(small / 2))
    return torch.where(near, inner, torch.log(l / torch.tanh(l / 2)))


def continuous_mean(l):
    """The mean of a pixel (equation 8 there), which is not the sigmoid of its logit."""
    near, small, l = near_zero(l)
    return torch.where(near, 0.5 + small / 4 * lambert(small / 2), 0.5 + 0.5 / torch.tanh(l / 2) - 1 / l)


def cross_entropy(out, x, logvar):
    return F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(1)


def normal_nats(out, x, logvar):
    return 0.5 * (math.log(2 * math.pi) + logvar + (x - out) ** 2 / torch.exp(logvar)).sum(1)


bernoulli = Likelihood(cross_entropy, torch.sigmoid)
continuous_bernoulli = Likelihood(
    lambda out, x, logvar: cross_entropy(out, x, logvar) - log_normaliser(out).sum(1), continuous_mean
)
gaussian = Likelihood(normal_nats, lambda out: out)
# one spread of all pixels, learned with the rest (Rybkin et al., 2021)
gaussian_learned = gaussian
# no likelihood: a mean over pixels beside a sum over latents, of data that the printed Normalize puts into [-1, 1]
documented = Likelihood(
    nats=lambda out, x, logvar: F.mse_loss(torch.sigmoid(out), x, reduction="none").mean(1),
    mean=lambda out: (torch.sigmoid(out) + 1) / 2,
    seen=lambda x: 2 * x - 1,
)


def binarized(family, batch, draws):
    """The images, gray or drawn as 0 or 1."""
    x = batch["image"]
    return (draws["threshold"] < x).to(x.dtype) if family.binarize == "dynamic" else x


def divergence(mu, logvar):
    """(N, latent): of each normal distribution from the standard one, in nats (Kingma & Welling, 2014, appendix B)."""
    return -0.5 * (1 + logvar - mu**2 - torch.exp(logvar))


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
        mean = kl.mean(0, keepdim=True)
        kl = torch.where(mean < family.free_bits, family.free_bits, mean)
    return draws["annealed"] * kl.sum(1) if family.beta_warmup else kl.sum(1)


def decoded(family, x, mu, logvar, eps):
    """-> the codes z (N, K, latent) that eps gives, and minus log p(x | z), (N, K)."""
    z = family.vae.reparameterize(mu[:, None], logvar[:, None], eps)
    out = family.vae.decoder(z.reshape(-1, family.latent))
    out, x = out.flatten(1), x.flatten(1).repeat_interleave(eps.shape[1], 0)
    rec = named(family.likelihood).nats(out, x, torch.as_tensor(spread(family), dtype=out.dtype, device=out.device))
    return z, rec.reshape(z.shape[:2])


def spread(family):
    """The log-variance of a pixel, for the likelihoods that have one."""
    learned = family.vae.logvar
    return 2 * math.log(family.sigma) if learned is None else learned


def log_evidence(z, rec, logvar, eps):
    """(N,): log 1/K sum_k p(x, z_k) / q(z_k | x) (Burda et al., 2016, equation 8), of which some constants cancel."""
    log_weights = 0.5 * (logvar[:, None] + eps**2 - z**2).sum(2) - rec
    return torch.logsumexp(log_weights, 1) - math.log(eps.shape[1])


def bound(family, x, eps):
    """`log_evidence` of what the encoder sees, for any number of codes an image."""
    if family.likelihood == "documented":
        raise ValueError("bound: the documented loss is no likelihood. Train with another one.")
    if eps.ndim != 3 or eps.shape[::2] != (x.shape[0], family.latent):
        raise ValueError(f"bound: expected eps ({x.shape[0]}, K, {family.latent}), got {tuple(eps.shape)}.")
    mu, logvar = family.vae.encode(x)
    return log_evidence(*decoded(family, x, mu, logvar, eps), logvar, eps)
