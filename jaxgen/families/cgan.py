"""Conditional GAN (Mirza & Osindero, 2014) of document 002: one-hot labels join what both nets of a DCGAN are given."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from jaxgen import noise, objectives
from jaxgen.core import Input, Recipe
from jaxgen.families.dcgan import Discriminator, Generator, Size, dcgan_init


class Family(nnx.Module):
    images = ("image", "z")
    small = dict(size=32, latent=5, width=3, classes=4)
    elsewhere = ("size", "objective", "reuse", "order", "initial")  # dcgan and mlp_gan
    further = (dict(objective="wasserstein_gp", turns=2),)
    recipes = {
        "mnist": Recipe(
            "document 002, lines 469-481, trained as its DCGAN",
            printed=dict(latent=100, classes=10),
            chosen=dict(data="mnist", size=64, batch=128, epochs=50),
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
        classes: int = 10,  # of the labels
        latent: int = 100,  # length of the noise
        width: int = 64,  # channels of the largest maps; smaller ones have 2, 4, 8 times as many
        objective: objectives.Name = "bce_half",  # what the two players minimise
        turns: int = 0,  # of the discriminator in a step; 0: the objective's own, 5 for wasserstein_gp, else 1
        reuse: bool = False,  # each of these turns sees the same images, as document 002 prints; else new ones
        order: objectives.Order = "alternating",  # of the players: by turns, or both from the state before the step
        penalty: float = 10.0,  # weight of the objective's penalty on slopes, if it has one
        initial: Literal["dcgan", "torch"] = "dcgan",  # initial weights: N(0, 0.02), or PyTorch's defaults
    ):
        self.size, self.channels, self.latent, self.classes = size, channels, latent, classes
        objectives.settle(self, objective, turns, reuse, order, penalty)
        self.gen = Generator(latent + classes, channels, width, size)
        norm = "group" if objectives.named(objective).penalty else "batch"
        self.disc = Discriminator(channels + classes, width, size, norm)
        if initial == "dcgan":
            for _, layer in nnx.iter_modules(self):
                dcgan_init(layer)

    @property
    def players(self):
        return objectives.players(self, moves=("disc", "gen"))

    def inputs(self, batch):
        image = Input((batch, self.size, self.size, self.channels), low=-1.0)
        return {"image": image, "label": Input((batch,), high=self.classes - 1, dtype="int32")}

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
        label = (first + jnp.arange(count)) % self.classes
        return {"z": noise.normal(key, count, 1, 1, self.latent, first=first), "label": label}

    def generated(self, z, label):
        return self.gen(add_condition(z, label, self.classes))

    def critic(self, label):
        """-> the discriminator's logits of images with these labels."""
        return lambda disc, x: disc.logits(add_condition(x, label, self.classes))

    def disc_loss(self, batch, draws):
        label = batch["label"]
        fake = jax.lax.stop_gradient(self.generated(draws["z"], label))
        return objectives.disc_loss(self, self.critic(label), batch["image"], fake, draws)

    def gen_loss(self, batch, draws):
        label = batch["label"]
        return objectives.gen_loss(self, self.critic(label), batch["image"], self.generated(draws["z"], label))

    def sample(self, draws):
        return self.generated(draws["z"], draws["label"])


def add_condition(x, label, classes):
    """x (N, H, W, C), label (N,) -> (N, H, W, C + classes): one-hot labels at every place, behind the channels."""
    places = jax.nn.one_hot(label, classes, dtype=x.dtype)[:, None, None, :]
    return jnp.concatenate([x, jnp.broadcast_to(places, (*x.shape[:3], classes))], -1)
