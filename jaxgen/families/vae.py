"""Variational autoencoder (Kingma & Welling, 2014) of fully connected nets."""

from typing import Literal

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxgen import nn, noise, variational
from jaxgen.core import Input, Player, Recipe


class VAE(nnx.Module):
    """x (N, input_dim) in [0, 1] -> the pixels' means (N, input_dim), and mean and log-variance of the latent (N,
    latent_dim), given its noise. The document prints one hidden width, used twice; here each is named. `learned`: the
    log-variance of all pixels is a weight too."""

    def __init__(self, input_dim, hidden_dims, latent_dim, learned=False):
        self.encoder = mlp(input_dim, *hidden_dims, latent_dim * 2)
        self.decoder = mlp(latent_dim, *hidden_dims[::-1], input_dim)
        self.logvar = nn.constant(0.0) if learned else None

    def __call__(self, x, eps):
        mu, logvar = self.encode(x)
        return jax.nn.sigmoid(self.decoder(self.reparameterize(mu, logvar, eps))), mu, logvar

    def encode(self, x):
        return jnp.split(nn.full(self.encoder(x)), 2, 1)

    def reparameterize(self, mu, logvar, eps):
        return mu + eps * jnp.exp(0.5 * logvar)


def mlp(*widths):
    """Linear layers with a ReLU between. The decoder's printed Sigmoid is applied outside: the loss needs logits."""
    layers = [nn.Linear(widths[0], widths[1])]
    for wide, narrow in zip(widths[1:], widths[2:], strict=False):
        layers += [nn.ReLU(), nn.Linear(wide, narrow)]
    return nn.Sequential(*layers)


class Family(nnx.Module):
    players = {"vae": Player(trains=("vae",))}
    ranks = "loss"
    images = ("image", "threshold")
    small = dict(size=5, channels=2, hidden=(9, 7), latent=3)
    further = (
        dict(likelihood="continuous_bernoulli", beta=2.0, beta_warmup=5, free_bits=0.05),
        dict(likelihood="gaussian", sigma=0.5, hidden=(), beta_warmup=4),
        dict(likelihood="gaussian_learned", importance=3),
    )
    recipes = {
        "T02": Recipe(
            "document 001, lines 130-153",
            printed=dict(data="mnist", size=28, channels=1, hidden=(256, 256), latent=20, batch=64, epochs=10, lr=1e-3),
            chosen=dict(likelihood="bernoulli"),
        ),
        "digits": Recipe(
            "ours: recognisable digits within minutes on two cores",
            printed={},
            chosen=dict(
                data="digits",
                size=24,
                hidden=(256, 256),
                latent=10,
                batch=64,
                steps=8000,
                lr=1e-3,
                ema=0.995,
                eval_every=1000,
            ),
        ),
    }

    def __init__(
        self,
        size: int = 28,  # of the images, in pixels
        channels: int = 1,  # of the images: 1 gray, 3 colour
        hidden: tuple[int, ...] = (256, 256),  # widths of the encoder, mirrored in the decoder
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
        variational.check(self, hidden=hidden)
        self.vae = VAE(channels * size**2, hidden, latent, learned=likelihood == "gaussian_learned")

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
        return nn.flatten(variational.named(self.likelihood).seen(image))

    def encode(self, image):
        """Images in [0, 1] -> means and log-variances of their codes, (N, latent) each."""
        return self.vae.encode(self.look(image))

    def decode(self, z):
        """Codes (N, latent) -> the pixels' means, as images in [0, 1]."""
        x = variational.named(self.likelihood).mean(nn.full(self.vae.decoder(z)))
        return nn.unflatten(x, (self.channels, self.size, self.size))

    def bound(self, image, eps):
        """(N,): log p(image) in nats, from below, by the codes that eps (N, K, latent) gives; closer with more."""
        return variational.bound(self, self.look(image), eps)

    def sample(self, draws):
        """The pixels' means."""
        return self.decode(draws["eps"])
