"""Diffusion as Karras et al. (2022) put it: noise of every strength, a preconditioned denoiser, Heun's method."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxgen import backbones, nn
from jaxgen.core import Player, Recipe
from jaxgen.diffusion import conditioning, guidance, samplers, schedules, weighting
from jaxgen.errors import UserError


class Family(nnx.Module):
    players = {"net": Player(trains=("net",))}
    ranks = "loss"
    images = ("image", "noise", "start", "steps")
    sampling = ("sampler", "sampling_steps", "sigma_min", "sigma_max", "rho", "churn", "eta", "guidance")
    small = dict(size=8, width=8, sampling_steps=5)
    further = (
        dict(churn=2.0),
        dict(net="unet", size=4, classes=3, dropout=0.1, guidance=2.0),
        dict(net="dit", classes=3, guidance=2.0),
    )
    recipes = {
        "ours": Recipe(
            "Karras et al. (2022), table 7, CIFAR-10",
            printed=dict(data="cifar10", size=32, channels=3, batch=512, lr=1e-3, dropout=0.13),
            chosen=dict(net="unet", width=128, epochs=400, ema=0.9999, warmup=10000),
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
        self.size, self.channels, self.classes, self.hidden = size, channels, classes, hidden
        self.sigma_data, self.mean, self.std = sigma_data, mean, std
        self.sampler, self.steps, self.sigmas = sampler, sampling_steps, (sigma_min, sigma_max, rho)
        self.churn, self.eta, self.scale = churn, eta, guidance
        conditioning.check(self)
        if churn < 0:
            raise UserError(f"churn: expected 0 or more, got {churn}.")
        self.points()
        self.net = backbones.build(net, size, channels, width, classes=classes, dropout=dropout)

    def inputs(self, batch):
        return conditioning.inputs(self, batch)

    def optimizers(
        self,
        lr: float = 1e-3,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: optax.adamw(lr, weight_decay=weight_decay) for name in self.players}

    def draw(self, key, batch):
        strength, epsilon, hide = jax.random.split(key, 3)
        shape = batch["image"].shape
        draws = {"strength": jax.random.normal(strength, shape[:1]), "noise": jax.random.normal(epsilon, shape)}
        return draws | conditioning.hiding(self, hide, shape[0])

    def draw_sample(self, key, count, first=0):
        noisy = self.sampler in ("ancestral", "dpmpp_2m_sde") or self.eta or self.churn
        return conditioning.draw_sample(self, key, count, first, bool(noisy))

    def written(self, draws):
        """With the noise of each step as arrays."""
        return conditioning.written(self, draws)

    def net_loss(self, batch, draws):
        """-> the weighted squared error of the denoised images: 1 where the net tells nothing."""
        x_0, log_sigma = batch["image"], (self.mean + self.std * draws["strength"])[:, None, None, None]
        sigma = jnp.exp(log_sigma)
        told = self.preconditioned(x_0 + sigma * draws["noise"], log_sigma, conditioning.seen(self, batch, draws))
        loss = (weighting.edm_weight(sigma, self.sigma_data) * (told - x_0) ** 2).mean()
        return loss, {"loss": loss}

    def preconditioned(self, x, log_sigma, label):
        """x_0, by the net between scalings that keep its input and its target at unit scale (Karras et al., 2022, table
        1); `log_sigma` (N, 1, 1, 1)."""
        sigma = jnp.exp(log_sigma)
        both = sigma**2 + self.sigma_data**2
        c_skip, c_out, c_in = self.sigma_data**2 / both, sigma * self.sigma_data / both**0.5, both**-0.5
        c_noise = 1000 * log_sigma.flatten() / 4  # the net is told times of the size of a step out of a thousand
        return c_skip * x + c_out * nn.full(self.net(c_in * x, c_noise, label))

    def points(self):
        """The points that the sampler visits."""
        sigmas = schedules.karras(self.steps, *self.sigmas)
        path = schedules.exploding(np.append(sigmas, 0))
        return schedules.halved(path, schedules.exploding) if self.sampler == "rk4" else path

    def denoiser(self, draws):
        """With guidance."""
        told = lambda label: (
            lambda x, node: self.preconditioned(x, jnp.full((len(x), 1, 1, 1), jnp.log(node.sigma), x.dtype), label)
        )
        denoise = told(draws.get("label"))
        if self.scale == 1:
            return denoise
        return guidance.guided(denoise, told(jnp.full_like(draws["label"], self.classes)), self.scale)

    def sample(self, draws, frames=0):
        """Images in [-1, 1], of the noise at the start and of each step; with `frames` so many on the way to each,
        (frames, N, H, W, C)."""
        churn = {"churn": self.churn}
        more = {"heun": churn, "euler": churn, "ddim": {"eta": self.eta}}.get(self.sampler, {})
        run, path = getattr(samplers, self.sampler), self.points()
        steps = conditioning.of_step(self, draws)
        return run(self.denoiser(draws), draws["start"] * float(path.sigma[0]), path, steps, frames=frames, **more)
