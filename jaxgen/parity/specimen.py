"""A specimen, no model of use: the smallest twins in which every layer, loss and kind of step is at work, so that each
planted fault (`mutations/`) can be seen. An autoencoder with labels and a critic, who plays twice a step."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxgen import nn, noise, objectives, optim
from jaxgen.core import Input, Player

CHANNELS, SIZE, LATENT, LABELS = 2, 8, 4, 5


class Encoder(nnx.Module):
    """x (N, SIZE, SIZE, CHANNELS) -> mean and log-variance of its code (N, LATENT), and its first maps."""

    def __init__(self):
        self.contrast = nn.InstanceNorm2d(CHANNELS)
        # without a bias, so that an image of zeros stands exactly on the kinks of what follows
        self.stem = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3, 2, 1, bias=False), nn.LeakyReLU(0.2))
        self.main = nn.Sequential(
            nn.Conv2d(4, 4, 3, 1, 2, 2, bias=False), nn.InstanceNorm2d(4, affine=True), nn.GELU(),
            nn.Conv2d(4, 4, 3, 1, 1, groups=2), nn.GroupNorm(2, 4), nn.SiLU(), nn.BatchNorm2d(4),
            nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(16, 2 * LATENT),
        )  # fmt: skip

    def __call__(self, x):
        maps = self.stem(x)
        mu, logvar = jnp.split(nn.full(self.main(maps)), 2, 1)
        return mu, logvar, maps


class Decoder(nnx.Module):
    """z (N, LATENT), label (N,) -> (N, SIZE, SIZE, CHANNELS) in [0, 1]."""

    def __init__(self):
        self.name = nn.Embedding(LABELS, LATENT)
        self.code = nn.Sequential(
            nn.Linear(LATENT, LATENT), nn.LayerNorm(LATENT), nn.Tanh(), nn.Linear(LATENT, 16, bias=False),
            nn.BatchNorm1d(16), nn.Unflatten(1, (4, 2, 2)),
        )  # fmt: skip
        self.main = nn.Sequential(
            nn.ConvTranspose2d(4, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.ConvTranspose2d(4, 4, 3, 2, 1, 1), nn.LayerNorm((4, 8, 8)),
            nn.Upsample(size=5, mode="bilinear", align_corners=False), nn.Upsample(size=7),
            nn.Upsample(size=SIZE, mode="bilinear", align_corners=True), nn.Conv2d(4, CHANNELS, 1), nn.Sigmoid(),
        )  # fmt: skip

    def __call__(self, z, label):
        return self.main(self.code(z + self.name(label)))


class Critic(nnx.Module):
    """x (N, SIZE, SIZE, CHANNELS) -> logits (N,) that it is real, and features (N, 16)."""

    def __init__(self):
        self.stem = nn.Sequential(
            nn.Conv2d(CHANNELS, 4, 3, 2, 1, bias=False), nn.ReLU(), nn.AvgPool2d(3, 2, 1), nn.Flatten()
        )
        self.head = nn.Sequential(nn.Tanh(), nn.BatchNorm1d(16), nn.Dropout(0.25), nn.Linear(16, 1))

    def __call__(self, x):
        features = self.stem(x)
        return nn.full(self.head(features))[:, 0], features


class Family(nnx.Module):
    players = {
        "critic": Player(trains=("critic",), moves=("critic",), times=2, reuse=True),
        "auto": Player(trains=("encoder", "decoder"), moves=("encoder", "decoder", "critic")),
    }
    images = ("image",)
    small: dict[str, int] = {}

    def __init__(self):
        self.critic, self.encoder, self.decoder = Critic(), Encoder(), Decoder()

    def inputs(self, batch):
        return {
            "image": Input((batch, SIZE, SIZE, CHANNELS)),
            "label": Input((batch,), high=LABELS - 1, dtype="int32"),
        }

    def optimizers(self, lr: float = 1e-3):
        """Both after a clip, and on a schedule."""
        txs = {
            "critic": optax.rmsprop(lr, decay=0.99, eps=1e-8, eps_in_sqrt=False),
            "auto": optax.adamw(lr, b1=0.5, b2=0.99, weight_decay=0.1),
        }
        return optim.build(self, txs, clip=0.1, schedule="cosine", warmup=2, steps=400)

    def draw(self, key, batch):
        eps, prior = jax.random.split(key)
        shape = (batch["image"].shape[0], LATENT)
        return {"eps": jax.random.normal(eps, shape), "prior": jax.random.normal(prior, shape)}

    def draw_sample(self, key, count, first=0):
        return {
            "prior": noise.normal(key, count, LATENT, first=first),
            "label": (first + jnp.arange(count)) % LABELS,
        }

    def critic_loss(self, batch, draws):
        fake = jax.lax.stop_gradient(self.decoder(draws["prior"], batch["label"]))
        (real, features), (fake, _) = self.critic(batch["image"]), self.critic(fake)
        adversarial = objectives.named("bce_half").disc(real, fake)
        p = jax.nn.sigmoid(features.mean(1))
        bright = nn.binary_cross_entropy(p, jnp.zeros_like(p))
        loss = adversarial + 0.1 * bright
        return loss, {"critic_loss": loss, "bright": bright}

    def auto_loss(self, batch, draws):
        x = batch["image"]
        mu, logvar, maps = self.encoder(x)
        y = self.decoder(self.reparameterize(mu, logvar, draws["eps"]), batch["label"])
        logits, features = self.critic(y)
        told = {
            "rec": nn.smooth_l1_loss(*map(self.encoder.contrast, (y, x)), beta=0.25),
            "seen": nn.mse_loss(features, jax.lax.stop_gradient(self.critic.stem(x))),
            "sparse": nn.l1_loss(maps, jnp.zeros_like(maps)),
            "kl": self.divergence(mu, logvar),
            "fooled": objectives.named("bce_half").gen(logits),
        }
        return sum(told.values()), told

    def reparameterize(self, mu, logvar, eps):
        return mu + eps * jnp.exp(0.5 * logvar)

    def divergence(self, mu, logvar):
        return (-0.5 * (1 + logvar - mu**2 - jnp.exp(logvar)).sum(1)).mean()

    def sample(self, draws):
        return self.decoder(draws["prior"], draws["label"])
