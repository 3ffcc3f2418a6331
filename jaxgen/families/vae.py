"""Variational autoencoder (Kingma & Welling, 2014) of fully connected nets."""

from typing import Literal

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxgen import nn, noise
from jaxgen.core import Input, Player, Recipe


class VAE(nnx.Module):
    """x (N, input_dim) in [0, 1] -> the pixels' means (N, input_dim), and mean and log-variance of the latent (N,
    latent_dim), given its noise. The document prints one hidden width, used twice; here each is named."""

    def __init__(self, input_dim, hidden_dims, latent_dim):
        self.encoder = mlp(input_dim, *hidden_dims, latent_dim * 2)
        self.decoder = mlp(latent_dim, *hidden_dims[::-1], input_dim)

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
        likelihood: Literal["bernoulli", "documented"] = "bernoulli",  # of the pixels; documented: mean squared error
        binarize: Literal["none", "dynamic"] = "none",  # gray pixels as they are, or drawn anew as 0 or 1 each step
        beta: float = 1.0,  # weight of the KL divergence
    ):
        self.size, self.channels, self.latent = size, channels, latent
        self.likelihood, self.binarize, self.beta = likelihood, binarize, beta
        self.vae = VAE(channels * size**2, hidden, latent)

    def inputs(self, batch):
        return {"image": Input((batch, self.size, self.size, self.channels))}

    def optimizers(
        self,
        lr: float = 1e-3,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: optax.adamw(lr, weight_decay=weight_decay) for name in self.players}

    def draw(self, key, batch):
        eps, threshold = jax.random.split(key)
        draws = {"eps": jax.random.normal(eps, (batch["image"].shape[0], self.latent))}
        if self.binarize == "dynamic":
            draws["threshold"] = jax.random.uniform(threshold, batch["image"].shape)
        return draws

    def draw_sample(self, key, count, first=0):
        return {"eps": noise.normal(key, count, self.latent, first=first)}

    def vae_loss(self, batch, draws):
        """-> the negative evidence lower bound in nats an image, and its parts."""
        x = nn.flatten(batch["image"])
        if self.binarize == "dynamic":
            x = (nn.flatten(draws["threshold"]) < x).astype(x.dtype)
        if self.likelihood == "documented":
            x = 2 * x - 1  # the printed Normalize
        mu, logvar = self.vae.encode(x)
        logits = nn.full(self.vae.decoder(self.vae.reparameterize(mu, logvar, draws["eps"])))
        if self.likelihood == "documented":
            rec = nn.mse_loss(jax.nn.sigmoid(logits), x)  # a mean over pixels beside a sum over latents: beta is 392
        else:
            rec = nn.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
        kl = (-0.5 * (1 + logvar - mu**2 - jnp.exp(logvar)).sum(1)).mean()
        loss = rec + self.beta * kl
        return loss, {"loss": loss, "rec": rec, "kl": kl}

    def sample(self, draws):
        """The pixels' means, in [0, 1]."""
        x = jax.nn.sigmoid(self.vae.decoder(draws["eps"]))
        if self.likelihood == "documented":
            x = (x + 1) / 2  # back from the printed Normalize
        return nn.unflatten(x, (self.channels, self.size, self.size))
