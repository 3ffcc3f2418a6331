"""A toy adversarial autoencoder (Makhzani et al., 2015): two nets under one loss, seen by a frozen eye, and a critic of
the codes with dropout; the players play simultaneously."""

import jax
import optax
from flax import nnx

from jaxgen import nn, noise
from jaxgen.core import Input, Player, Recipe


class Family(nnx.Module):
    players = {
        "auto": Player(trains=("encoder", "decoder"), moves=("encoder", "decoder")),
        "critic": Player(trains=("critic",)),
    }
    simultaneous = True
    images = ("image",)
    small = dict(size=8, width=4, latent=3)
    recipes = {"digits": Recipe("ours", {}, dict(data="digits", size=12, width=8, batch=32, steps=20))}

    def __init__(self, size: int = 16, width: int = 8, latent: int = 4):
        self.size, self.latent = size, latent
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1), nn.BatchNorm2d(width), nn.LeakyReLU(0.1), nn.Flatten(),
            nn.Linear(width * size**2 // 4, latent),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(latent, width * size**2 // 4), nn.Unflatten(1, (width, size // 2, size // 2)),
            nn.BatchNorm2d(width), nn.SiLU(), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(width, 1, 3, padding=1), nn.Sigmoid(),
        )  # fmt: skip
        self.critic = nn.Sequential(
            nn.Linear(latent, width), nn.GELU(), nn.LayerNorm(width), nn.Dropout(0.3), nn.Linear(width, 1)
        )
        self.eye = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1), nn.GroupNorm(2, width), nn.Tanh(), nn.MaxPool2d(2))

    def inputs(self, batch):
        return {"image": Input((batch, self.size, self.size, 1))}

    def optimizers(self, lr: float = 1e-3):
        return {name: optax.adam(lr) for name in self.players}

    def draw(self, key, batch):
        return {"prior": jax.random.normal(key, (batch["image"].shape[0], self.latent))}

    def draw_sample(self, key, count, first=0):
        return {"prior": noise.normal(key, count, self.latent, first=first)}

    def auto_loss(self, batch, draws):
        code = self.encoder(batch["image"])
        seen = ((self.eye(self.decoder(code)) - self.eye(batch["image"])) ** 2).mean()
        fooled = self.critic(code).mean()
        return seen - 0.1 * fooled, {"seen": seen, "fooled": fooled}

    def critic_loss(self, batch, draws):
        prior, code = self.critic(draws["prior"]), self.critic(self.encoder(batch["image"]))
        loss = ((prior - 1) ** 2).mean() + ((code + 1) ** 2).mean()
        return loss, {"critic_loss": loss}

    def sample(self, draws):
        return self.decoder(draws["prior"])
