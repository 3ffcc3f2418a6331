"""A specimen, no model of use: the smallest twins in which every layer, loss and kind of step is at work, so that each
planted fault can be seen. An autoencoder with labels and a critic, who plays twice a step."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref import objectives, optim
from torch_ref.core import Player, parameters

CHANNELS, SIZE, LATENT, LABELS = 2, 8, 4, 5


class Encoder(nn.Module):
    """x (N, CHANNELS, SIZE, SIZE) -> mean and log-variance of its code (N, LATENT), and its first maps."""

    def __init__(self):
        super().__init__()
        self.contrast = nn.InstanceNorm2d(CHANNELS)
        # without a bias, so that an image of zeros stands exactly on the kinks of what follows
        self.stem = nn.Sequential(nn.Conv2d(CHANNELS, 4, 3, 2, 1, bias=False), nn.LeakyReLU(0.2))
        self.main = nn.Sequential(
            nn.Conv2d(4, 4, 3, 1, 2, 2, bias=False), nn.InstanceNorm2d(4, affine=True), nn.GELU(),
            nn.Conv2d(4, 4, 3, 1, 1, groups=2), nn.GroupNorm(2, 4), nn.SiLU(), nn.BatchNorm2d(4),
            nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(16, 2 * LATENT),
        )  # fmt: skip

    def forward(self, x):
        maps = self.stem(x)
        mu, logvar = self.main(maps).chunk(2, 1)
        return mu, logvar, maps


class Decoder(nn.Module):
    """z (N, LATENT), label (N,) -> (N, CHANNELS, SIZE, SIZE) in [0, 1]."""

    def __init__(self):
        super().__init__()
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

    def forward(self, z, label):
        return self.main(self.code(z + self.name(label)))


class Critic(nn.Module):
    """x (N, CHANNELS, SIZE, SIZE) -> logits (N,) that it is real, and features (N, 16)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(CHANNELS, 4, 3, 2, 1, bias=False), nn.ReLU(), nn.AvgPool2d(3, 2, 1), nn.Flatten()
        )
        self.head = nn.Sequential(nn.Tanh(), nn.BatchNorm1d(16), nn.Dropout(0.25), nn.Linear(16, 1))

    def forward(self, x):
        features = self.stem(x)
        return self.head(features)[:, 0], features


class Family(nn.Module):
    players = {
        "critic": Player(trains=("critic",), moves=("critic",), times=2, reuse=True),
        "auto": Player(trains=("encoder", "decoder"), moves=("encoder", "decoder", "critic")),
    }
    images = ("image",)
    small: dict[str, int] = {}

    def __init__(self):
        super().__init__()
        self.critic, self.encoder, self.decoder = Critic(), Encoder(), Decoder()

    def optimizers(self, lr: float = 1e-3):
        """Both after a clip, and on a schedule."""
        made = {
            "critic": torch.optim.RMSprop(parameters(self, "critic"), lr),
            "auto": torch.optim.AdamW(parameters(self, "auto"), lr, (0.5, 0.99), weight_decay=0.1),
        }
        optim.clip(made, 0.1)
        for name, optimizer in made.items():
            self.schedule(optimizer, self.players[name].times)
        return made

    def schedule(self, optimizer, times):
        """Its rate moves after its last turn of a step."""
        scheduler, turns = optim.scheduler(optimizer, "cosine", warmup=2, steps=400), []

        def look(*_):
            turns.append(None)
            if len(turns) % times == 0:
                scheduler.step()

        optimizer.register_step_post_hook(look)

    def critic_loss(self, batch, draws):
        fake = self.decoder(draws["prior"], batch["label"]).detach()
        (real, features), (fake, _) = self.critic(batch["image"]), self.critic(fake)
        adversarial = objectives.named("bce_half").disc(real, fake)
        p = torch.sigmoid(features.mean(1))
        bright = F.binary_cross_entropy(p, torch.zeros_like(p))
        loss = adversarial + 0.1 * bright
        return loss, {"critic_loss": loss, "bright": bright}

    def auto_loss(self, batch, draws):
        x = batch["image"]
        mu, logvar, maps = self.encoder(x)
        y = self.decoder(self.reparameterize(mu, logvar, draws["eps"]), batch["label"])
        logits, features = self.critic(y)
        told = {
            "rec": F.smooth_l1_loss(*map(self.encoder.contrast, (y, x)), beta=0.25),
            "seen": F.mse_loss(features, self.critic.stem(x).detach()),
            "sparse": F.l1_loss(maps, torch.zeros_like(maps)),
            "kl": self.divergence(mu, logvar),
            "fooled": objectives.named("bce_half").gen(logits),
        }
        return sum(told.values()), told

    def reparameterize(self, mu, logvar, eps):
        return mu + eps * torch.exp(0.5 * logvar)

    def divergence(self, mu, logvar):
        return (-0.5 * (1 + logvar - mu**2 - torch.exp(logvar)).sum(1)).mean()

    def sample(self, draws):
        return self.decoder(draws["prior"], draws["label"])
