"""Wasserstein GAN with gradient penalty (Gulrajani et al., 2017): the documented trainer around the nets of a DCGAN."""

from typing import Literal

import jax
import optax
from flax import nnx

from jaxgen import nn, noise, objectives
from jaxgen.core import Input, Player, Recipe
from jaxgen.families.dcgan import Discriminator, Generator, Size, dcgan_init


class Family(nnx.Module):
    images = ("image", "z", "gen_z")
    small = dict(size=32, latent=5, width=3, turns=2)
    further = (dict(critic="documented", reuse=True),)
    elsewhere = ("size", "initial")  # dcgan
    recipes = {
        "mnist": Recipe(
            "ours: T05 with new images in each turn of the critic, and a critic that ends without a Sigmoid",
            printed={},
            chosen=dict(data="mnist", size=64, channels=1, batch=64, epochs=50, ema=0.999),
        ),
        "T05": Recipe(
            "document 002, lines 415-468",
            printed=dict(data="mnist", latent=100, lr=1e-4, betas=(0.5, 0.9), turns=5, reuse=True, penalty=10.0),
            chosen=dict(size=64, channels=1, batch=128, epochs=50, initial="torch"),
        ),
        "digits": Recipe(
            "ours: recognisable digits within minutes on two cores",
            printed={},
            chosen=dict(
                data="digits", size=32, width=16, batch=32, steps=2000, lr=4e-4, ema=0.998, eval_every=500
            ),  # fmt: skip
        ),
    }

    def __init__(
        self,
        size: Size = 64,  # of the images, in pixels
        channels: int = 1,  # of the images: 1 gray, 3 colour
        latent: int = 100,  # length of the noise
        width: int = 64,  # channels of the largest maps; smaller ones have 2, 4, 8 times as many
        critic: Literal["mended", "documented"] = "mended",  # documented: with batch statistics, scores in (0, 1)
        turns: int = 5,  # of the critic in a step
        reuse: bool = False,  # each of these turns sees the same images, as printed; else new ones
        penalty: float = 10.0,  # weight of the penalty on slopes
        initial: Literal["dcgan", "torch"] = "dcgan",  # initial weights: N(0, 0.02), or PyTorch's defaults
    ):
        objectives.check(turns, penalty, least=1)
        self.size, self.channels, self.latent = size, channels, latent
        self.printed, self.turns, self.reuse, self.penalty = critic == "documented", turns, reuse, penalty
        self.gen = Generator(latent, channels, width, size)
        self.critic = Discriminator(channels, width, size, "batch" if self.printed else "group")
        if initial == "dcgan":
            for _, layer in nnx.iter_modules(self):
                dcgan_init(layer)

    @property
    def players(self):
        # the generator is in training in every turn of the critic, as printed
        return {
            "critic": Player(trains=("critic",), moves=("critic", "gen"), times=self.turns, reuse=self.reuse),
            "gen": Player(trains=("gen",), moves=("critic", "gen")),
        }

    def inputs(self, batch):
        return {"image": Input((batch, self.size, self.size, self.channels), low=-1.0)}

    def optimizers(
        self,
        lr: float = 1e-4,  # learning rate of Adam
        betas: tuple[float, float] = (0.5, 0.9),  # decays of its two averages
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: optax.adamw(lr, *betas, weight_decay=weight_decay) for name in self.players}

    def draw(self, key, batch):
        z, gen_z, alpha = jax.random.split(key, 3)
        rows = batch["image"].shape[0]
        return {
            "z": jax.random.normal(z, (rows, 1, 1, self.latent)),
            "gen_z": jax.random.normal(gen_z, (rows, 1, 1, self.latent)),
            "alpha": jax.random.uniform(alpha, (rows,)),
        }

    def draw_sample(self, key, count, first=0):
        return {"gen_z": noise.normal(key, count, 1, 1, self.latent, first=first)}

    def scores(self, critic, x):
        """(N,): probabilities as printed, else numbers without bounds."""
        return nn.full(critic(x)) if self.printed else critic.logits(x)

    def critic_loss(self, batch, draws):
        """-> the negative estimate of the distance and the penalty."""
        real, fake = batch["image"], jax.lax.stop_gradient(self.gen(draws["z"]))
        distance = self.scores(self.critic, real).mean() - self.scores(self.critic, fake).mean()
        slopes = lambda x: nn.slopes(self.critic, self.scores, x)
        penalty = objectives.around_one(slopes, real, fake, draws["alpha"])
        loss = self.penalty * penalty - distance
        return loss, {"critic_loss": loss, "distance": distance, "penalty": penalty}

    def gen_loss(self, batch, draws):
        loss = -self.scores(self.critic, self.gen(draws["gen_z"])).mean()
        return loss, {"gen_loss": loss}

    def sample(self, draws):
        return self.gen(draws["gen_z"])
