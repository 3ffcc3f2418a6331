"""Deep convolutional GAN (Radford et al., 2016) for images of 64 or 32 pixels, trained by turns."""

from typing import Literal

import jax
from flax import nnx

from jaxgen import nn, noise, objectives
from jaxgen.core import Input, Recipe
from jaxgen.errors import one_of

Size = Literal[64, 32]


class Generator(nnx.Module):
    """(N, 1, 1, latent_dim) -> (N, size, size, img_channels) in [-1, 1]."""

    def __init__(self, latent_dim=100, img_channels=1, feature_map_size=64, size=64):
        one_of("size", size, Size)
        widths = [feature_map_size * n for n in ((8, 4, 2, 1) if size == 64 else (4, 2, 1))]
        layers = [nn.ConvTranspose2d(latent_dim, widths[0], 4, 1, 0, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[-1], img_channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def __call__(self, z):
        return self.main(z)


class Discriminator(nnx.Module):
    """(N, size, size, img_channels) -> (N,): the probability that an image is real."""

    def __init__(self, img_channels=1, feature_map_size=64, size=64, norm="batch"):
        widths = [feature_map_size * n for n in ((1, 2, 4, 8) if size == 64 else (1, 2, 4))]
        layers = [nn.Conv2d(img_channels, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for narrow, wide in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(narrow, wide, 4, 2, 1, bias=False), normed(norm, wide), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=False), nn.Sigmoid()]
        self.main = nn.Sequential(*layers)

    def __call__(self, x):
        return self.main(x).reshape(-1)

    def logits(self, x):
        return nn.full(self.main[:-1](x)).reshape(-1)


class Family(nnx.Module):
    images = ("image", "z")
    small = dict(size=32, latent=5, width=3)
    elsewhere = ("objective", "reuse", "order")  # mlp_gan
    further = (
        dict(objective="wasserstein_gp", turns=2, reuse=True),
        dict(objective="relativistic_r1_r2", order="simultaneous"),
    )
    recipes = {
        "T03": Recipe(
            "document 002, lines 112-163 and 323-363",
            printed=dict(
                data="mnist", size=64, channels=1, latent=100, batch=128, epochs=50, lr=2e-4, betas=(0.5, 0.999)
            ),
            chosen=dict(objective="bce_half", initial="dcgan"),
        ),
        "T01": Recipe(
            "document 001, lines 51-92",
            printed=dict(
                data="mnist", size=32, channels=3, latent=100, batch=64, epochs=5, lr=2e-4, betas=(0.9, 0.999)
            ),
            chosen=dict(objective="bce", initial="dcgan"),
        ),
        "digits": Recipe(
            "ours: recognisable digits within minutes on two cores",
            printed={},
            chosen=dict(data="digits", size=32, width=16, batch=64, steps=3000, lr=4e-4, ema=0.998, eval_every=500),
        ),
    }

    def __init__(
        self,
        size: Size = 64,  # of the images, in pixels
        channels: int = 1,  # of the images: 1 gray, 3 colour
        latent: int = 100,  # length of the noise
        width: int = 64,  # channels of the largest maps; smaller ones have 2, 4, 8 times as many
        objective: objectives.Name = "bce_half",  # what the two players minimise
        turns: int = 0,  # of the discriminator in a step; 0: the objective's own, 5 for wasserstein_gp, else 1
        reuse: bool = False,  # each of these turns sees the same images, as document 002 prints; else new ones
        order: objectives.Order = "alternating",  # of the players: by turns, or both from the state before the step
        penalty: float = 10.0,  # weight of the objective's penalty on slopes, if it has one
        initial: Literal["dcgan", "torch"] = "dcgan",  # initial weights: N(0, 0.02), or PyTorch's defaults
    ):
        self.size, self.channels, self.latent = size, channels, latent
        objectives.settle(self, objective, turns, reuse, order, penalty)
        self.gen = Generator(latent, channels, width, size)
        # a slope must be that of one image, so that batch statistics are out of the question
        norm = "group" if objectives.named(objective).penalty else "batch"
        self.disc = Discriminator(channels, width, size, norm)
        if initial == "dcgan":
            for _, layer in nnx.iter_modules(self):
                dcgan_init(layer)

    @property
    def players(self):
        return objectives.players(self, moves=("disc", "gen"))

    def inputs(self, batch):
        return {"image": Input((batch, self.size, self.size, self.channels), low=-1.0)}

    def optimizers(
        self,
        lr: float = 2e-4,  # learning rate of Adam
        betas: tuple[float, float] = (0.5, 0.999),  # decays of its two averages
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return objectives.optimizers(self, lr, betas, weight_decay)

    def draw(self, key, batch):
        return objectives.draw(self, key, batch, 1, 1, self.latent)

    def draw_sample(self, key, count, first=0):
        return {"z": noise.normal(key, count, 1, 1, self.latent, first=first)}

    def disc_loss(self, batch, draws):
        fake = jax.lax.stop_gradient(self.gen(draws["z"]))
        return objectives.disc_loss(self, Discriminator.logits, batch["image"], fake, draws)

    def gen_loss(self, batch, draws):
        return objectives.gen_loss(self, Discriminator.logits, batch["image"], self.gen(draws["z"]))

    def sample(self, draws):
        return self.gen(draws["z"])


def normed(norm, channels):
    """BatchNorm2d as printed, or the norm of all of an image's values at once, which mixes no images."""
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(1, channels)


def dcgan_init(layer):
    """Convolutions N(0, 0.02), the scales of BatchNorm N(1, 0.02), its shifts 0."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        layer.weight = nn.normal(0.0, 0.02, *layer.weight.get_value().shape)
    elif isinstance(layer, nn.BatchNorm2d):
        layer.weight = nn.normal(1.0, 0.02, layer.features)
        layer.bias = nn.constant(0.0, layer.features)
