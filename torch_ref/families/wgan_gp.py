"""Wasserstein GAN with gradient penalty (Gulrajani et al., 2017): the documented trainer around the nets of a DCGAN."""

from typing import Literal

import torch
from torch import nn

from torch_ref import objectives
from torch_ref.core import Player, parameters
from torch_ref.families.dcgan import Discriminator, Generator, dcgan_init


class Family(nn.Module):
    images = ("image", "z", "gen_z")
    small = dict(size=32, latent=5, width=3, turns=2)

    def __init__(
        self,
        size: Literal[64, 32] = 64,  # of the images, in pixels
        channels: int = 1,  # of the images: 1 gray, 3 colour
        latent: int = 100,  # length of the noise
        width: int = 64,  # channels of the largest maps; smaller ones have 2, 4, 8 times as many
        critic: Literal["mended", "documented"] = "mended",  # documented: with batch statistics, scores in (0, 1)
        turns: int = 5,  # of the critic in a step
        reuse: bool = False,  # each of these turns sees the same images, as printed; else new ones
        penalty: float = 10.0,  # weight of the penalty on slopes
        initial: Literal["dcgan", "torch"] = "dcgan",  # initial weights: N(0, 0.02), or PyTorch's defaults
    ):
        super().__init__()
        self.size, self.channels, self.latent = size, channels, latent
        self.printed, self.turns, self.reuse, self.penalty = critic == "documented", turns, reuse, penalty
        self.gen = Generator(latent, channels, width, size)
        self.critic = Discriminator(channels, width, size, "batch" if self.printed else "group")
        if initial == "dcgan":
            self.apply(dcgan_init)

    @property
    def players(self):
        # the generator is in training in every turn of the critic, as printed
        return {
            "critic": Player(trains=("critic",), moves=("critic", "gen"), times=self.turns, reuse=self.reuse),
            "gen": Player(trains=("gen",), moves=("critic", "gen")),
        }

    def optimizers(
        self,
        lr: float = 1e-4,  # learning rate of Adam
        betas: tuple[float, float] = (0.5, 0.9),  # decays of its two averages
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {
            name: torch.optim.AdamW(parameters(self, name), lr, betas, weight_decay=weight_decay)
            for name in self.players
        }

    def scores(self, critic, x):
        """(N,): probabilities as printed, else numbers without bounds."""
        return critic(x) if self.printed else critic.logits(x)

    def critic_loss(self, batch, draws):
        """-> the negative estimate of the distance and the penalty."""
        real, fake = batch["image"], self.gen(draws["z"]).detach()
        distance = self.scores(self.critic, real).mean() - self.scores(self.critic, fake).mean()
        slopes = lambda x: objectives.slopes(self.critic, self.scores, x)
        penalty = objectives.around_one(slopes, real, fake, draws["alpha"])
        loss = self.penalty * penalty - distance
        return loss, {"critic_loss": loss, "distance": distance, "penalty": penalty}

    def gen_loss(self, batch, draws):
        loss = -self.scores(self.critic, self.gen(draws["gen_z"])).mean()
        return loss, {"gen_loss": loss}

    def sample(self, draws):
        return self.gen(draws["gen_z"])
