"""Denoising diffusion (Ho et al., 2020): a net tells the noise of images, step by step out of a thousand."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxgen import backbones, nn
from jaxgen.core import Player, Recipe
from jaxgen.diffusion import conditioning, guidance, prediction, samplers, schedules, weighting
from jaxgen.errors import UserError


class Family(nnx.Module):
    players = {"net": Player(trains=("net",))}
    ranks = "loss"
    images = ("image", "noise", "start", "steps")
    sampling = ("sampler", "sampling_steps", "spacing", "eta", "variance", "bounds", "guidance")
    small = dict(size=8, width=8, timesteps=12)
    further = (
        dict(beta_schedule="zero_terminal", predicts="v", loss="l2"),
        dict(beta_schedule="cosine", predicts="v", weighting="min_snr"),
        dict(beta_schedule="sigmoid", predicts="x0", loss="l1"),
        dict(beta_schedule="variance_preserving", predicts="score", loss="l2"),
        dict(beta_schedule="scaled_linear", sampler="ddim", eta=0.5, sampling_steps=5),
        dict(beta_schedule="document_000", predicts="v", loss="l2"),
        dict(beta_schedule="document_004", predicts="v", loss="l2"),
        dict(net="unet", size=4, classes=3, dropout=0.1, guidance=2.0),
        dict(net="dit", classes=3, guidance=2.0),
    )
    recipes = {
        "T04": Recipe(
            "document 002, lines 364-412",
            printed=dict(
                data="mnist", size=28, channels=1, batch=128, epochs=100, lr=1e-4, loss="huber", timesteps=1000
            ),
            chosen=dict(ema=0.9999),
        ),
        "T08": Recipe(
            "document 000, lines 20 and 40, without its text",
            printed=dict(data="cifar10", size=64, channels=3, lr=1e-4, loss="l2"),
            chosen=dict(batch=128, epochs=100, weight_decay=1e-2, ema=0.9999),
        ),
        "digits": Recipe(
            "ours: recognisable digits within minutes on two cores",
            printed={},
            chosen=dict(
                data="digits",
                size=16,
                width=16,
                batch=64,
                steps=4000,
                lr=1e-3,
                ema=0.999,
                eval_every=1000,
                sampling_steps=100,
            ),  # fmt: skip
        ),
    }

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
        self.size, self.channels, self.classes, self.hidden = size, channels, classes, hidden
        self.timesteps, self.schedule, self.predicts = timesteps, beta_schedule, predicts
        self.kind, self.weighting = loss, weighting
        self.sampler, self.steps, self.spacing = sampler, sampling_steps or timesteps, spacing
        self.eta, self.variance, self.bounds, self.scale = eta, variance, bounds, guidance
        self.net = backbones.build(net, size, channels, width, classes=classes, dropout=dropout)
        self.check()

    def check(self):
        """What would divide by zero, or sample by what the network was not told."""
        conditioning.check(self)
        if self.timesteps < 1:
            raise UserError(f"timesteps: expected at least 1, got {self.timesteps}.")
        if self.schedule == "zero_terminal" and self.predicts in ("epsilon", "score"):
            raise UserError(
                f"beta_schedule zero_terminal: nothing of the data is left to tell {self.predicts} of; predict v."
            )
        self.points()

    def inputs(self, batch):
        return conditioning.inputs(self, batch)

    def optimizers(
        self,
        lr: float = 1e-4,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: optax.adamw(lr, weight_decay=weight_decay) for name in self.players}

    def draw(self, key, batch):
        time, epsilon, hide = jax.random.split(key, 3)
        shape = batch["image"].shape
        draws = {
            "time": jax.random.randint(time, shape[:1], 0, self.timesteps, "int32"),
            "noise": jax.random.normal(epsilon, shape),
        }
        return draws | conditioning.hiding(self, hide, shape[0])

    def draw_sample(self, key, count, first=0):
        noisy = self.sampler in ("ancestral", "dpmpp_2m_sde") or self.eta
        return conditioning.draw_sample(self, key, count, first, bool(noisy))

    def written(self, draws):
        """With the noise of each step as arrays."""
        return conditioning.written(self, draws)

    def net_loss(self, batch, draws):
        """-> the mean error of what the network tells of noisy images."""
        x_0, epsilon = batch["image"], draws["noise"]
        alpha, sigma = self.at(draws["time"], x_0)
        time, label = draws["time"].astype(x_0.dtype), conditioning.seen(self, batch, draws)
        told = nn.full(self.net(alpha * x_0 + sigma * epsilon, time, label))
        wanted = prediction.target(self.predicts, x_0, epsilon, alpha, sigma)
        error = getattr(nn, LOSSES[self.kind])(told, wanted, reduction="none").mean((1, 2, 3))
        weight = weighting.weight(self.weighting, self.predicts, alpha, sigma).flatten()
        loss = (weight * error).mean()
        return loss, {"loss": loss}

    def at(self, time, x):
        """alpha and sigma of each row."""
        left = self.alphas_cumprod()
        return (
            schedules.at_least_single(table, x)[time][:, None, None, None] for table in (left**0.5, (1 - left) ** 0.5)
        )

    def alphas_cumprod(self):
        return getattr(schedules, self.schedule)(self.timesteps)

    def points(self):
        """The points that the sampler visits."""
        left = self.alphas_cumprod()
        point = lambda ratio: schedules.discrete(left, schedules.time_of(left, ratio))
        if self.spacing == "karras":
            ends = schedules.discrete(left, (0, self.timesteps - 1)).ratio
            times = np.append(schedules.time_of(left, schedules.karras(self.steps, *ends)), -1)
        else:
            times = getattr(schedules, self.spacing)(self.timesteps, self.steps)
        path = schedules.discrete(left, times)
        return schedules.halved(path, point) if self.sampler == "rk4" else path

    def denoise(self, label=None):
        """-> denoise(x, node), by the network."""

        def told(x, node):
            output = nn.full(self.net(x, jnp.full(x.shape[:1], node.time, x.dtype), label))
            return prediction.to_x0(self.predicts, output, x, node.alpha, node.sigma)

        return told

    def denoiser(self, draws):
        """With guidance and bounds."""
        denoise = self.denoise(draws.get("label"))
        if self.scale != 1:
            nothing = jnp.full_like(draws["label"], self.classes)
            denoise = guidance.guided(denoise, self.denoise(nothing), self.scale)
        return {"none": lambda x: x, "clip": guidance.clipped, "dynamic": guidance.thresholded}[self.bounds](denoise)

    def sample(self, draws, frames=0):
        """Images in [-1, 1], of the noise at the start and of each step; with `frames` so many on the way to each,
        (frames, N, H, W, C)."""
        more = {"ancestral": {"variance": self.variance}, "ddim": {"eta": self.eta}}.get(self.sampler, {})
        run = getattr(samplers, self.sampler)
        steps = conditioning.of_step(self, draws)
        return run(self.denoiser(draws), draws["start"], self.points(), steps, frames=frames, **more)


LOSSES = {"huber": "smooth_l1_loss", "l1": "l1_loss", "l2": "mse_loss"}
