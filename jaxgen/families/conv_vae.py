"""Variational autoencoder (Kingma & Welling, 2014) of convolutions, for images of even sizes above 8 pixels."""

from math import gcd
from typing import Literal

import jax.numpy as jnp
import optax
from flax import nnx

from jaxgen import nn, noise, variational
from jaxgen.core import Input, Player, Recipe
from jaxgen.errors import UserError


class VAE(nnx.Module):
    """x (N, size, size, channels) -> mean and log-variance of its code (N, latent) by `encode`; `decoder` makes of a
    code what the likelihood asks for. `learned`: the log-variance of all pixels is a weight too. Nothing of the other
    images of a batch is seen: norms are of groups."""

    def __init__(self, size, channels, width, latent, learned=False):
        sides = halved(size)
        widths = [channels, *(width * min(2**i, 4) for i in range(len(sides) - 1))]
        shape = widths[-1], sides[-1], sides[-1]
        down = [each for ways in zip(widths, widths[1:], strict=False) for each in shrinking(*ways)]
        up = [each for ways in zip(widths[:0:-1], widths[-2:0:-1], strict=False) for each in growing(*ways)]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(shape[0] * shape[1] ** 2, 2 * latent))
        self.decoder = nn.Sequential(
            nn.Linear(latent, shape[0] * shape[1] ** 2), nn.Unflatten(1, shape), *normed(shape[0]), *up,
            nn.ConvTranspose2d(width, channels, 4, 2, 1),
        )  # fmt: skip
        self.logvar = nn.constant(0.0) if learned else None

    def encode(self, x):
        return jnp.split(nn.full(self.encoder(x)), 2, 1)

    def reparameterize(self, mu, logvar, eps):
        return mu + eps * jnp.exp(0.5 * logvar)


def halved(size):
    """The sides of the maps: halved while they are even and larger than 8."""
    if size <= 8 or size % 2:
        raise UserError(f"size: expected an even number above 8, which can be halved, got {size}.")
    sides = [size]
    while sides[-1] > 8 and sides[-1] % 2 == 0:
        sides.append(sides[-1] // 2)
    return sides


def shrinking(wide, narrow):
    return [nn.Conv2d(wide, narrow, 4, 2, 1), *normed(narrow)]


def growing(narrow, wide):
    return [nn.ConvTranspose2d(narrow, wide, 4, 2, 1), *normed(wide)]


def normed(width):
    return [nn.GroupNorm(max(1, gcd(8, width) // 2), width), nn.SiLU()]


class Family(nnx.Module):
    players = {"vae": Player(trains=("vae",))}
    ranks = "loss"
    images = ("image", "threshold")
    small = dict(size=10, channels=2, width=4, latent=3)
    further = (
        dict(size=20, likelihood="continuous_bernoulli", beta_warmup=5, free_bits=0.2),
        dict(channels=1, likelihood="gaussian_learned", importance=2),
    )
    elsewhere = ("likelihood", "binarize")  # all values: in `vae`, whose loss this is
    recipes = {
        "mnist": Recipe(
            "ours: the steps of document 001's VAE",
            printed={},
            chosen=dict(data="mnist", size=28, width=32, latent=20, batch=128, epochs=20, lr=1e-3, ema=0.999),
        ),
        "digits": Recipe(
            "ours: recognisable digits within minutes on two cores",
            printed={},
            chosen=dict(
                data="digits", size=16, width=16, latent=10, batch=64, steps=4000, lr=2e-3, ema=0.995, eval_every=1000
            ),
        ),
    }

    def __init__(
        self,
        size: int = 28,  # of the images, in pixels: even, and more than 8
        channels: int = 1,  # of the images: 1 gray, 3 colour
        width: int = 32,  # channels of the largest maps; smaller ones have 2 or 4 times as many
        latent: int = 20,  # length of the code
        likelihood: variational.Name = "bernoulli",  # of the pixels; documented: mean squared error
        sigma: float = 0.1,  # standard deviation of a pixel, for gaussian
        binarize: Literal["none", "dynamic"] = "none",  # gray pixels as they are, or drawn anew as 0 or 1 each step
        beta: float = 1.0,  # weight of the KL divergence
        beta_warmup: int = 0,  # steps in which that weight rises to beta
        free_bits: float = 0.0,  # nats of the KL divergence that cost nothing, for each number of the code
        importance: int = 1,  # codes drawn for an image; more than 1: the importance-weighted bound
    ):
        self.size, self.channels, self.latent = size, channels, latent
        self.likelihood, self.sigma, self.binarize = likelihood, sigma, binarize
        self.beta, self.beta_warmup, self.free_bits, self.importance = beta, beta_warmup, free_bits, importance
        variational.check(self, width=(width,))
        self.vae = VAE(size, channels, width, latent, learned=likelihood == "gaussian_learned")

    def inputs(self, batch):
        return {"image": Input((batch, self.size, self.size, self.channels))}

    def optimizers(
        self,
        lr: float = 1e-3,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: optax.adamw(lr, weight_decay=weight_decay) for name in self.players}

    def draw(self, key, batch, step=None):
        return variational.draw(self, key, batch, step)

    def draw_sample(self, key, count, first=0):
        return {"eps": noise.normal(key, count, self.latent, first=first)}

    def vae_loss(self, batch, draws):
        """-> the loss, and its parts: where beta is 1 and no nats are free, minus the bound on the evidence."""
        return variational.loss(self, self.look(variational.binarized(self, batch, draws)), draws)

    def look(self, image):
        """What the encoder is given."""
        return variational.named(self.likelihood).seen(image)

    def encode(self, image):
        """Images in [0, 1] -> means and log-variances of their codes, (N, latent) each."""
        return self.vae.encode(self.look(image))

    def decode(self, z):
        """Codes (N, latent) -> the pixels' means, as images in [0, 1]."""
        return variational.named(self.likelihood).mean(nn.full(self.vae.decoder(z)))

    def bound(self, image, eps):
        """(N,): log p(image) in nats, from below, by the codes that eps (N, K, latent) gives; closer with more."""
        return variational.bound(self, self.look(image), eps)

    def sample(self, draws):
        """The pixels' means."""
        return self.decode(draws["eps"])
