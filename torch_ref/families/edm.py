"""Diffusion as Karras et al. (2022) put it: noise of every strength, a preconditioned denoiser, Heun's method."""

import math
from typing import Literal

import torch
from torch import nn

from torch_ref import backbones
from torch_ref.core import Player, parameters
from torch_ref.diffusion import guidance, samplers, schedules, weighting


class Family(nn.Module):
    players = {"net": Player(trains=("net",))}
    images = ("image", "noise", "start", "steps")
    small = dict(size=8, width=8, sampling_steps=5)

    def __init__(
        self,
        size: int = 32,  # of the images, in pixels
        channels: int = 1,  # of the images: 1 gray, 3 colour
        net: Literal["documented", "unet", "dit"] = "documented",  # the network, a file of backbones/
        width: int = 64,  # of the network at full size
        classes: int = 0,  # of labels that the network is told; 0: none
        hidden: float = 0.1,  # share of labels that training hides, for guidance
        dropout: float = 0.0,  # inside the network, in training
        sigma_data: float = 0.5,  # standard deviation of the data
        mean: float = -1.2,  # of log sigma in training
        std: float = 1.2,  # of log sigma in training
        sampler: Literal[
            "heun", "euler", "rk4", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "ddim", "ancestral"
        ] = "heun",  # from noise to images
        sampling_steps: int = 18,  # of the sampler
        sigma_min: float = 0.002,  # of the noise at the last step
        sigma_max: float = 80.0,  # of the noise at the start
        rho: float = 7.0,  # how much denser the steps are where there is little noise
        churn: float = 0.0,  # noise that heun and euler add on the way
        eta: float = 0.0,  # noise of ddim: 0 none, 1 as ancestral
        guidance: float = 1.0,  # scale of classifier-free guidance; 1: none
    ):  # fmt: skip
        super().__init__()
        self.size, self.channels, self.classes, self.hidden = size, channels, classes, hidden
        self.sigma_data, self.mean, self.std = sigma_data, mean, std
        self.sampler, self.steps, self.sigmas = sampler, sampling_steps, (sigma_min, sigma_max, rho)
        self.churn, self.eta, self.scale = churn, eta, guidance
        self.net = backbones.build(net, size, channels, width, classes=classes, dropout=dropout)

    def optimizers(
        self,
        lr: float = 1e-3,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: torch.optim.AdamW(parameters(self, name), lr, weight_decay=weight_decay) for name in self.players}

    def net_loss(self, batch, draws):
        """-> the weighted squared error of the denoised images: 1 where the net tells nothing."""
        x_0, log_sigma = batch["image"], (self.mean + self.std * draws["strength"])[:, None, None, None]
        sigma = torch.exp(log_sigma)
        told = self.preconditioned(x_0 + sigma * draws["noise"], log_sigma, self.seen(batch, draws))
        loss = (weighting.edm_weight(sigma, self.sigma_data) * (told - x_0) ** 2).mean()
        return loss, {"loss": loss}

    def preconditioned(self, x, log_sigma, label):
        """x_0, by the net between scalings that keep its input and its target at unit scale (Karras et al., 2022, table
        1); `log_sigma` (N, 1, 1, 1)."""
        sigma = torch.exp(log_sigma)
        both = sigma**2 + self.sigma_data**2
        c_skip, c_out, c_in = self.sigma_data**2 / both, sigma * self.sigma_data / both**0.5, both**-0.5
        c_noise = 1000 * log_sigma.flatten() / 4
        return c_skip * x + c_out * self.net(c_in * x, c_noise, label)

    def seen(self, batch, draws):
        """The labels, of which training hides some."""
        if not self.classes:
            return None
        return torch.where(draws["hide"] < self.hidden, self.classes, batch["label"])

    def points(self):
        """The points that the sampler visits."""
        sigmas = schedules.karras(self.steps, *self.sigmas).tolist()
        path = schedules.exploding([*sigmas, 0])
        return schedules.halved(path, lambda sigma: schedules.exploding([sigma])[0]) if self.sampler == "rk4" else path

    def denoiser(self, draws):
        """With guidance."""
        told = lambda label: (
            lambda x, node: self.preconditioned(x, x.new_full((len(x), 1, 1, 1), math.log(node.sigma)), label)
        )
        denoise = told(draws.get("label"))
        if self.scale == 1:
            return denoise
        return guidance.guided(denoise, told(torch.full_like(draws["label"], self.classes)), self.scale)

    def sample(self, draws):
        """Images in [-1, 1], of the noise at the start and of each step."""
        churn = {"churn": self.churn}
        more = {"heun": churn, "euler": churn, "ddim": {"eta": self.eta}}.get(self.sampler, {})
        run, path = getattr(samplers, self.sampler), self.points()
        return run(self.denoiser(draws), draws["start"] * path[0].sigma, path, lambda i: draws["steps"][:, i], **more)
