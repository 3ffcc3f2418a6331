"""Rectified flow (Liu et al., 2023; Lipman et al., 2023): a net tells the velocity of straight ways to the data."""

from typing import Literal

import torch
from torch import nn

from torch_ref import backbones
from torch_ref.core import Player, parameters
from torch_ref.diffusion import guidance, ode, samplers, schedules, weighting


class Family(nn.Module):
    players = {"net": Player(trains=("net",))}
    images = ("image", "noise", "start", "steps")
    small = dict(size=8, width=8, sampling_steps=5)

    def __init__(
        self,
        size: int = 28,  # of the images, in pixels
        channels: int = 1,  # of the images: 1 gray, 3 colour
        net: Literal["documented", "unet", "dit"] = "documented",  # the network, a file of backbones/
        width: int = 64,  # of the network at full size
        classes: int = 0,  # of labels that the network is told; 0: none
        hidden: float = 0.1,  # share of labels that training hides, for guidance
        dropout: float = 0.0,  # inside the network, in training
        logit_normal: bool = False,  # times of training more often in the middle; else uniform
        sampler: Literal[
            "euler", "heun", "rk4", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "ddim", "ancestral"
        ] = "euler",  # from noise to images
        sampling_steps: int = 50,  # of the sampler
        shift: float = 1.0,  # of the steps towards the noise; 1: even
        eta: float = 0.0,  # noise of ddim: 0 none, 1 as ancestral
        guidance: float = 1.0,  # scale of classifier-free guidance; 1: none
    ):  # fmt: skip
        super().__init__()
        self.size, self.channels, self.classes, self.hidden = size, channels, classes, hidden
        self.logit_normal, self.shift = logit_normal, shift
        self.sampler, self.steps, self.eta, self.scale = sampler, sampling_steps, eta, guidance
        self.net = backbones.build(net, size, channels, width, classes=classes, dropout=dropout)

    def optimizers(
        self,
        lr: float = 1e-4,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: torch.optim.AdamW(parameters(self, name), lr, weight_decay=weight_decay) for name in self.players}

    def net_loss(self, batch, draws):
        """-> the mean squared error of the velocity on the way."""
        x_0, epsilon, t = batch["image"], draws["noise"], self.time(draws["time"])
        told = self.velocity(self.seen(batch, draws))((1 - t) * x_0 + t * epsilon, t.flatten())
        loss = (told - (epsilon - x_0)).pow(2).mean()
        return loss, {"loss": loss}

    def time(self, given):
        """(N, 1, 1, 1): t from 0 at the data to 1 at the noise."""
        return (weighting.logit_normal(given) if self.logit_normal else given)[:, None, None, None]

    def velocity(self, label=None):
        """-> velocity(x, t), by the network, which is told times of the size of a step out of a thousand."""
        return lambda x, t: self.net(x, 1000 * t, label)

    def seen(self, batch, draws):
        """The labels, of which training hides some."""
        if not self.classes:
            return None
        return torch.where(draws["hide"] < self.hidden, self.classes, batch["label"])

    def points(self):
        """The points that the sampler visits."""
        times = schedules.shifted(torch.linspace(1, 0, self.steps + 1, dtype=torch.float64), self.shift)
        if self.sampler == "rk4":  # the middle of each step too
            times = torch.cat([times, (times[1:] + times[:-1]) / 2]).sort(descending=True).values
        return schedules.rectified(times)

    def slope(self, draws):
        """-> velocity(x, node), with guidance: of the velocity as of x_0, which is linear in it."""
        told = lambda label: lambda x, node: self.velocity(label)(x, x.new_full(x.shape[:1], node.time))
        slope = told(draws.get("label"))
        if self.scale == 1:
            return slope
        return guidance.guided(slope, told(torch.full_like(draws["label"], self.classes)), self.scale)

    def sample(self, draws):
        """Images in [-1, 1], of the noise at the start and of each step."""
        slope, x, path = self.slope(draws), draws["start"], self.points()
        if self.sampler in ("euler", "heun", "rk4"):
            return getattr(ode, self.sampler)(slope, x, path, lambda node: node.time)
        more = {"eta": self.eta} if self.sampler == "ddim" else {}
        denoise = lambda x, node: x - node.time * slope(x, node)
        return getattr(samplers, self.sampler)(denoise, x, path, lambda i: draws["steps"][:, i], **more)
