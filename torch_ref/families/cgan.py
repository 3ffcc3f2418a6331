"""Conditional GAN (Mirza & Osindero, 2014) of document 002: one-hot labels join what both nets of a DCGAN are given."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref import objectives
from torch_ref.families.dcgan import Discriminator, Generator, dcgan_init


class Family(nn.Module):
    images = ("image", "z")
    small = dict(size=32, latent=5, width=3, classes=4)

    def __init__(
        self,
        size: Literal[64, 32] = 64,  # of the images, in pixels
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
        super().__init__()
        self.size, self.channels, self.latent, self.classes = size, channels, latent, classes
        objectives.settle(self, objective, turns, reuse, order, penalty)
        self.gen = Generator(latent + classes, channels, width, size)
        norm = "group" if objectives.named(objective).penalty else "batch"
        self.disc = Discriminator(channels + classes, width, size, norm)
        if initial == "dcgan":
            self.apply(dcgan_init)

    @property
    def players(self):
        return objectives.players(self, moves=("disc", "gen"))

    def optimizers(
        self,
        lr: float = 2e-4,  # learning rate of Adam
        betas: tuple[float, float] = (0.5, 0.999),  # decays of its two averages
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return objectives.optimizers(self, lr, betas, weight_decay)

    def generated(self, z, label):
        return self.gen(add_condition(z, label, self.classes))

    def critic(self, label):
        """-> the discriminator's logits of images with these labels."""
        return lambda disc, x: disc.logits(add_condition(x, label, self.classes))

    def disc_loss(self, batch, draws):
        label = batch["label"]
        fake = self.generated(draws["z"], label).detach()
        return objectives.disc_loss(self, self.critic(label), batch["image"], fake, draws)

    def gen_loss(self, batch, draws):
        label = batch["label"]
        return objectives.gen_loss(self, self.critic(label), batch["image"], self.generated(draws["z"], label))

    def sample(self, draws):
        return self.generated(draws["z"], draws["label"])


def add_condition(x, label, classes):
    """x (N, C, H, W), label (N,) -> (N, C + classes, H, W): one-hot labels at every place, behind the channels."""
    places = F.one_hot(label.long(), classes).to(x.dtype)[:, :, None, None]
    return torch.cat([x, places.expand(-1, -1, *x.shape[2:])], 1)
