"""Variational autoencoder (Kingma & Welling, 2014) of fully connected nets."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.core import Player, parameters


class VAE(nn.Module):
    """x (N, input_dim) in [0, 1] -> the pixels' means (N, input_dim), and mean and log-variance of the latent (N,
    latent_dim), given its noise. The document prints one hidden width, used twice; here each is named."""

    def __init__(self, input_dim, hidden_dims, latent_dim):
        super().__init__()
        self.encoder = mlp(input_dim, *hidden_dims, latent_dim * 2)
        self.decoder = mlp(latent_dim, *hidden_dims[::-1], input_dim)

    def forward(self, x, eps):
        mu, logvar = self.encode(x)
        return torch.sigmoid(self.decoder(self.reparameterize(mu, logvar, eps))), mu, logvar

    def encode(self, x):
        return self.encoder(x).chunk(2, 1)

    def reparameterize(self, mu, logvar, eps):
        return mu + eps * torch.exp(0.5 * logvar)


def mlp(*widths):
    """Linear layers with a ReLU between. The decoder's printed Sigmoid is applied outside: the loss needs logits."""
    layers = [nn.Linear(widths[0], widths[1])]
    for wide, narrow in zip(widths[1:], widths[2:], strict=False):
        layers += [nn.ReLU(), nn.Linear(wide, narrow)]
    return nn.Sequential(*layers)


class Family(nn.Module):
    players = {"vae": Player(trains=("vae",))}
    images = ("image", "threshold")
    small = dict(size=5, channels=2, hidden=(9, 7), latent=3)

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
        super().__init__()
        self.size, self.channels, self.latent = size, channels, latent
        self.likelihood, self.binarize, self.beta = likelihood, binarize, beta
        self.vae = VAE(channels * size**2, hidden, latent)

    def optimizers(
        self,
        lr: float = 1e-3,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: torch.optim.AdamW(parameters(self, name), lr, weight_decay=weight_decay) for name in self.players}

    def vae_loss(self, batch, draws):
        """-> the negative evidence lower bound in nats an image, and its parts."""
        x = batch["image"].flatten(1)
        if self.binarize == "dynamic":
            x = (draws["threshold"].flatten(1) < x).to(x.dtype)
        if self.likelihood == "documented":
            x = 2 * x - 1  # the printed Normalize
        mu, logvar = self.vae.encode(x)
        logits = self.vae.decoder(self.vae.reparameterize(mu, logvar, draws["eps"]))
        if self.likelihood == "documented":
            rec = F.mse_loss(torch.sigmoid(logits), x)  # a mean over pixels beside a sum over latents: beta is 392
        else:
            rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
        kl = (-0.5 * (1 + logvar - mu**2 - torch.exp(logvar)).sum(1)).mean()
        loss = rec + self.beta * kl
        return loss, {"loss": loss, "rec": rec, "kl": kl}

    def sample(self, draws):
        """The pixels' means, in [0, 1]."""
        x = torch.sigmoid(self.vae.decoder(draws["eps"]))
        if self.likelihood == "documented":
            x = (x + 1) / 2  # back from the printed Normalize
        return x.unflatten(1, (self.channels, self.size, self.size))
