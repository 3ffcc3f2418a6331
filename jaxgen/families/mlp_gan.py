"""The first GAN (Goodfellow et al., 2014) as the documents write it: two fully connected nets on flat images."""

from typing import Literal

import jax
from flax import nnx

from jaxgen import nn, noise, objectives
from jaxgen.core import Input, Recipe


class Generator(nnx.Module):
    """(N, input_dim) -> (N, output_dim) in [-1, 1]."""

    aliases = {"model.": "main."}  # document 003 prints `model`

    def __init__(self, input_dim, output_dim, hidden_dims=(256, 512, 1024)):
        widths, layers = (input_dim, *hidden_dims), []
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
        self.main = nn.Sequential(*layers, nn.Linear(widths[-1], output_dim), nn.Tanh())

    def __call__(self, x):
        return self.main(x)


class Discriminator(nnx.Module):
    """(N, input_dim) -> (N, 1): the probability that an image is real."""

    aliases = {"model.": "main."}  # document 003 prints `model`

    def __init__(self, input_dim, hidden_dims=(1024, 512, 256)):
        widths, layers = (input_dim, *hidden_dims), []
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(wide, narrow), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers, nn.Linear(widths[-1], 1), nn.Sigmoid())

    def __call__(self, x):
        return self.main(x)

    def logits(self, x):
        return nn.full(self.main[:-1](x)).reshape(-1)


class Family(nnx.Module):
    images = ("image",)
    small = dict(size=6, channels=2, latent=5, hidden=(7, 9))
    further = (
        dict(objective="wasserstein_gp", turns=2, reuse=True),
        dict(objective="r1", order="simultaneous"),
    )
    recipes = {
        "T07": Recipe(
            "document 004, lines 79-122",
            printed=dict(
                data="mnist", size=28, channels=1, latent=100, batch=64, epochs=100, lr=2e-4, betas=(0.9, 0.999)
            ),
            chosen=dict(objective="bce", initial="torch"),
        ),
        "digits": Recipe(
            "ours: recognisable digits within minutes on two cores",
            printed={},
            chosen=dict(
                data="digits",
                size=16,
                hidden=(128, 256, 512),
                batch=64,
                steps=8000,
                betas=(0.5, 0.999),
                ema=0.998,
                eval_every=1000,
            ),
        ),
    }

    def __init__(
        self,
        size: int = 28,  # of the images, in pixels
        channels: int = 1,  # of the images: 1 gray, 3 colour
        latent: int = 100,  # length of the noise
        hidden: tuple[int, ...] = (256, 512, 1024),  # widths of the generator, mirrored in the discriminator
        objective: objectives.Name = "bce",  # what the two players minimise
        turns: int = 0,  # of the discriminator in a step; 0: the objective's own, 5 for wasserstein_gp, else 1
        reuse: bool = False,  # each of these turns sees the same images, as document 002 prints; else new ones
        order: objectives.Order = "alternating",  # of the players: by turns, or both from the state before the step
        penalty: float = 10.0,  # weight of the objective's penalty on slopes, if it has one
        initial: Literal["torch", "dcgan"] = "torch",  # initial weights: PyTorch's defaults, or N(0, 0.02)
    ):
        self.size, self.channels, self.latent = size, channels, latent
        objectives.settle(self, objective, turns, reuse, order, penalty)
        self.gen = Generator(latent, channels * size**2, hidden)
        self.disc = Discriminator(channels * size**2, hidden[::-1])
        if initial == "dcgan":
            for _, layer in nnx.iter_modules(self):
                dcgan_init(layer)

    @property
    def players(self):
        return objectives.players(self)

    def inputs(self, batch):
        return {"image": Input((batch, self.size, self.size, self.channels), low=-1.0)}

    def optimizers(
        self,
        lr: float = 2e-4,  # learning rate of Adam
        betas: tuple[float, float] = (0.9, 0.999),  # decays of its two averages
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return objectives.optimizers(self, lr, betas, weight_decay)

    def draw(self, key, batch):
        return objectives.draw(self, key, batch, self.latent)

    def draw_sample(self, key, count, first=0):
        return {"z": noise.normal(key, count, self.latent, first=first)}

    def disc_loss(self, batch, draws):
        real, fake = nn.flatten(batch["image"]), jax.lax.stop_gradient(self.gen(draws["z"]))
        return objectives.disc_loss(self, Discriminator.logits, real, fake, draws)

    def gen_loss(self, batch, draws):
        real, fake = nn.flatten(batch["image"]), self.gen(draws["z"])
        return objectives.gen_loss(self, Discriminator.logits, real, fake)

    def sample(self, draws):
        return nn.unflatten(self.gen(draws["z"]), (self.channels, self.size, self.size))


def dcgan_init(layer):
    """Weights N(0, 0.02), biases 0."""
    if isinstance(layer, nn.Linear):
        layer.weight = nn.normal(0.0, 0.02, *layer.weight.get_value().shape)
        layer.bias = nn.constant(0.0, *layer.bias.get_value().shape)
