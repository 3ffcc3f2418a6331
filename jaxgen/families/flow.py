"""Rectified flow (Liu et al., 2023; Lipman et al., 2023): a net tells the velocity of straight ways to the data."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxgen import backbones, nn
from jaxgen.core import Player, Recipe
from jaxgen.diffusion import conditioning, guidance, ode, samplers, schedules, weighting


class Family(nnx.Module):
    players = {"net": Player(trains=("net",))}
    ranks = "loss"
    images = ("image", "noise", "start", "steps")
    sampling = ("sampler", "sampling_steps", "shift", "eta", "guidance")
    small = dict(size=8, width=8, sampling_steps=5)
    further = (
        dict(sampler="rk4", shift=3.0),
        dict(net="unet", size=4, classes=3, dropout=0.1, guidance=2.0),
        dict(net="dit", classes=3, guidance=2.0),
    )
    recipes = {
        "ours": Recipe(
            "ours: the size of document 002's diffusion",
            printed={},
            chosen=dict(data="mnist", size=28, batch=128, epochs=100, lr=1e-4, ema=0.9999),
        ),
        "digits": Recipe(
            "ours: recognisable digits within minutes on two cores",
            printed={},
            chosen=dict(
                data="digits", size=16, width=16, batch=64, steps=4000, lr=1e-3, ema=0.999, eval_every=1000
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
        logit_normal: bool = False,  # times of training more often in the middle; else uniform
        sampler: Literal[
            "euler", "heun", "rk4", "dpmpp_2m", "dpmpp_2m_sde", "unipc", "ddim", "ancestral"
        ] = "euler",  # from noise to images
        sampling_steps: int = 50,  # of the sampler
        shift: float = 1.0,  # of the steps towards the noise; 1: even
        eta: float = 0.0,  # noise of ddim: 0 none, 1 as ancestral
        guidance: float = 1.0,  # scale of classifier-free guidance; 1: none
    ):  # fmt: skip
        self.size, self.channels, self.classes, self.hidden = size, channels, classes, hidden
        self.logit_normal, self.shift = logit_normal, shift
        self.sampler, self.steps, self.eta, self.scale = sampler, sampling_steps, eta, guidance
        conditioning.check(self)
        self.points()
        self.net = backbones.build(net, size, channels, width, classes=classes, dropout=dropout)

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
        kind = jax.random.normal if self.logit_normal else jax.random.uniform
        draws = {"time": kind(time, shape[:1]), "noise": jax.random.normal(epsilon, shape)}
        return draws | conditioning.hiding(self, hide, shape[0])

    def draw_sample(self, key, count, first=0):
        noisy = self.sampler in ("ancestral", "dpmpp_2m_sde") or self.eta
        return conditioning.draw_sample(self, key, count, first, bool(noisy))

    def written(self, draws):
        """With the noise of each step as arrays."""
        return conditioning.written(self, draws)

    def net_loss(self, batch, draws):
        """-> the mean squared error of the velocity on the way."""
        x_0, epsilon, t = batch["image"], draws["noise"], self.time(draws["time"])
        told = self.velocity(conditioning.seen(self, batch, draws))((1 - t) * x_0 + t * epsilon, t.flatten())
        loss = ((told - (epsilon - x_0)) ** 2).mean()
        return loss, {"loss": loss}

    def time(self, given):
        """(N, 1, 1, 1): t from 0 at the data to 1 at the noise."""
        return (weighting.logit_normal(given) if self.logit_normal else given)[:, None, None, None]

    def velocity(self, label=None):
        """-> velocity(x, t), by the network, which is told times of the size of a step out of a thousand."""
        return lambda x, t: nn.full(self.net(x, 1000 * t, label))

    def points(self):
        """The points that the sampler visits."""
        times = schedules.shifted(np.linspace(1, 0, self.steps + 1), self.shift)
        if self.sampler == "rk4":  # the middle of each step too
            times = np.interp(np.arange(2 * self.steps + 1) / 2, np.arange(self.steps + 1), times)
        return schedules.rectified(times)

    def slope(self, draws):
        """-> velocity(x, node), with guidance: of the velocity as of x_0, which is linear in it."""
        told = lambda label: lambda x, node: self.velocity(label)(x, jnp.full(x.shape[:1], node.time, x.dtype))
        slope = told(draws.get("label"))
        if self.scale == 1:
            return slope
        return guidance.guided(slope, told(jnp.full_like(draws["label"], self.classes)), self.scale)

    def sample(self, draws, frames=0):
        """Images in [-1, 1], of the noise at the start and of each step; with `frames` so many on the way to each,
        (frames, N, H, W, C)."""
        slope, x, path = self.slope(draws), draws["start"], self.points()
        if self.sampler in ("euler", "heun", "rk4"):
            return getattr(ode, self.sampler)(slope, x, path, path.time, frames)
        more = {"eta": self.eta} if self.sampler == "ddim" else {}
        denoise = lambda x, node: x - node.time * slope(x, node)
        steps = conditioning.of_step(self, draws)
        return getattr(samplers, self.sampler)(denoise, x, path, steps, frames=frames, **more)
