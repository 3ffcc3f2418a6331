"""Variational autoencoder (Kingma & Welling, 2014) of fully connected nets."""

from typing import Literal

import torch
from torch import nn

from torch_ref import variational
from torch_ref.core import Player, parameters


class VAE(nn.Module):
    """x (N, input_dim) in [0, 1] -> the pixels' means (N, input_dim), and mean and log-variance of the latent (N,
    latent_dim), given its noise. The document prints one hidden width, used twice; here each is named. `learned`: the
    log-variance of all pixels is a weight too."""

    def __init__(self, input_dim, hidden_dims, latent_dim, learned=False):
        super().__init__()
        self.encoder = mlp(input_dim, *hidden_dims, latent_dim * 2)
        self.decoder = mlp(latent_dim, *hidden_dims[::-1], input_dim)
        self.logvar = nn.Parameter(torch.zeros(())) if learned else None

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
        likelihood: variational.Name = "bernoulli",  # of the pixels; documented: mean squared error
        sigma: float = 0.1,  # standard deviation of a pixel, for gaussian
        binarize: Literal["none", "dynamic"] = "none",  # gray pixels as they are, or drawn anew as 0 or 1 each step
        beta: float = 1.0,  # weight of the KL divergence
        beta_warmup: int = 0,  # steps in which that weight rises to beta
        free_bits: float = 0.0,  # nats of the KL divergence that cost nothing, for each number of the code
        importance: int = 1,  # codes drawn for an image; more than 1: the importance-weighted bound
    ):
        super().__init__()
        self.size, self.channels, self.latent = size, channels, latent
        self.likelihood, self.sigma, self.binarize = likelihood, sigma, binarize
        self.beta, self.beta_warmup, self.free_bits, self.importance = beta, beta_warmup, free_bits, importance
        self.vae = VAE(channels * size**2, hidden, latent, learned=likelihood == "gaussian_learned")

    def optimizers(
        self,
        lr: float = 1e-3,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: torch.optim.AdamW(parameters(self, name), lr, weight_decay=weight_decay) for name in self.players}

    def vae_loss(self, batch, draws):
        """-> the loss, and its parts: where beta is 1 and no nats are free, minus the bound on the evidence."""
        return variational.loss(self, self.look(variational.binarized(self, batch, draws)), draws)

    def look(self, image):
        """What the encoder is given."""
        return variational.named(self.likelihood).seen(image).flatten(1)

    def encode(self, image):
        """Images in [0, 1] -> means and log-variances of their codes, (N, latent) each."""
        return self.vae.encode(self.look(image))

    def decode(self, z):
        """Codes (N, latent) -> the pixels' means, as images in [0, 1]."""
        x = variational.named(self.likelihood).mean(self.vae.decoder(z))
        return x.unflatten(1, (self.channels, self.size, self.size))

    def bound(self, image, eps):
        """(N,): log p(image) in nats, from below, by the codes that eps (N, K, latent) gives; closer with more."""
        return variational.bound(self, self.look(image), eps)

    def sample(self, draws):
        """The pixels' means."""
        return self.decode(draws["eps"])
