"""Denoising diffusion (Ho et al., 2020): a net tells the noise of images, step by step out of a thousand."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref import backbones
from torch_ref.core import Player, parameters
from torch_ref.diffusion import guidance, prediction, samplers, schedules, weighting


class Family(nn.Module):
    players = {"net": Player(trains=("net",))}
    images = ("image", "noise", "start", "steps")
    small = dict(size=8, width=8, timesteps=12)

    def __init__(
        self,
        size: int = 28,  # of the images, in pixels
        channels: int = 1,  # of the images: 1 gray, 3 colour
        net: Literal["documented", "unet", "dit"] = "documented",  # the network, a file of backbones/
        width: int = 64,  # of the network at full size
        classes: int = 0,  # of labels that the network is told; 0: none
        hidden: float = 0.1,  # share of labels that training hides, for guidance
        dropout: float = 0.0,  # inside the network, in training
        timesteps: int = 1000,  # T, of the process
        beta_schedule: Literal[
            "linear", "scaled_linear", "cosine", "sigmoid", "variance_preserving", "zero_terminal", "document_000",
            "document_004",
        ] = "linear",  # of the noise over the steps
        predicts: Literal["epsilon", "x0", "v", "score"] = "epsilon",  # what the network tells
        loss: Literal["huber", "l1", "l2"] = "huber",  # of what it tells
        weighting: Literal["uniform", "min_snr"] = "uniform",  # of the loss over the steps
        sampler: Literal[
            "ancestral", "ddim", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "euler", "heun", "rk4"
        ] = "ancestral",  # from noise to images
        sampling_steps: int = 0,  # of the sampler; 0: all
        spacing: Literal["leading", "linspace", "trailing", "documented", "karras"] = "leading",  # of these steps
        eta: float = 0.0,  # noise of ddim: 0 none, 1 as ancestral
        variance: Literal["small", "large"] = "small",  # of ancestral: the posterior's, or beta
        bounds: Literal["none", "clip", "dynamic"] = "none",  # of x_0 while sampling
        guidance: float = 1.0,  # scale of classifier-free guidance; 1: none
    ):  # fmt: skip
        super().__init__()
        self.size, self.channels, self.classes, self.hidden = size, channels, classes, hidden
        self.timesteps, self.schedule, self.predicts = timesteps, beta_schedule, predicts
        self.kind, self.weighting = loss, weighting
        self.sampler, self.steps, self.spacing = sampler, sampling_steps or timesteps, spacing
        self.eta, self.variance, self.bounds, self.scale = eta, variance, bounds, guidance
        self.net = backbones.build(net, size, channels, width, classes=classes, dropout=dropout)

    def optimizers(
        self,
        lr: float = 1e-4,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: torch.optim.AdamW(parameters(self, name), lr, weight_decay=weight_decay) for name in self.players}

    def net_loss(self, batch, draws):
        """-> the mean error of what the network tells of noisy images."""
        x_0, epsilon = batch["image"], draws["noise"]
        alpha, sigma = self.at(draws["time"], x_0)
        told = self.net(alpha * x_0 + sigma * epsilon, draws["time"].to(x_0.dtype), self.seen(batch, draws))
        wanted = prediction.target(self.predicts, x_0, epsilon, alpha, sigma)
        error = getattr(F, LOSSES[self.kind])(told, wanted, reduction="none").mean((1, 2, 3))
        weight = weighting.weight(self.weighting, self.predicts, alpha, sigma).flatten()
        loss = (weight * error).mean()
        return loss, {"loss": loss}

    def at(self, time, x):
        """alpha and sigma of each row."""
        left = self.alphas_cumprod()[time.cpu().long()]
        return (values.to(x)[:, None, None, None] for values in (left.sqrt(), (1 - left).sqrt()))

    def alphas_cumprod(self):
        return getattr(schedules, self.schedule)(self.timesteps)

    def seen(self, batch, draws):
        """The labels, of which training hides some."""
        if not self.classes:
            return None
        return torch.where(draws["hide"] < self.hidden, self.classes, batch["label"])

    def points(self):
        """The points that the sampler visits."""
        left = self.alphas_cumprod()
        point = lambda ratio: schedules.point(left, schedules.time_of(left, ratio))
        if self.spacing == "karras":
            ends = schedules.discrete(left, (0, self.timesteps - 1))
            ratios = schedules.karras(self.steps, ends[0].ratio, ends[1].ratio).tolist()
            path = [*map(point, ratios), schedules.point(left, -1)]
        else:
            path = schedules.discrete(left, getattr(schedules, self.spacing)(self.timesteps, self.steps))
        return schedules.halved(path, point) if self.sampler == "rk4" else path

    def denoise(self, label=None):
        """-> denoise(x, node), by the network."""

        def told(x, node):
            output = self.net(x, x.new_full(x.shape[:1], node.time), label)
            return prediction.to_x0(self.predicts, output, x, node.alpha, node.sigma)

        return told

    def denoiser(self, draws):
        """With guidance and bounds."""
        denoise = self.denoise(draws.get("label"))
        if self.scale != 1:
            nothing = torch.full_like(draws["label"], self.classes)
            denoise = guidance.guided(denoise, self.denoise(nothing), self.scale)
        return {"none": lambda x: x, "clip": guidance.clipped, "dynamic": guidance.thresholded}[self.bounds](denoise)

    def sample(self, draws):
        """Images in [-1, 1], of the noise at the start and of each step."""
        more = {"ancestral": {"variance": self.variance}, "ddim": {"eta": self.eta}}.get(self.sampler, {})
        run = getattr(samplers, self.sampler)
        return run(self.denoiser(draws), draws["start"], self.points(), lambda i: draws["steps"][:, i], **more)


LOSSES = {"huber": "smooth_l1_loss", "l1": "l1_loss", "l2": "mse_loss"}
