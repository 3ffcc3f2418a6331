"""A toy conditional Wasserstein GAN with gradient penalty (Gulrajani et al., 2017): the critic plays three times a
step, with fresh batches or with the first one again; labels reach both nets."""

import torch
from torch import nn

from torch_ref.core import Player, parameters


class Generator(nn.Module):
    def __init__(self, latent, width, size):
        super().__init__()
        self.name = nn.Embedding(10, latent)
        self.main = nn.Sequential(
            nn.ConvTranspose2d(latent, width, size // 2, 1, 0, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z, label):
        return self.main(z * self.name(label)[:, :, None, None])


class Critic(nn.Module):
    # no BatchNorm: the penalty is about one image
    def __init__(self, width, size):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(1, width, 4, 2, 1), nn.LeakyReLU(0.2), nn.InstanceNorm2d(width, affine=True),
            nn.AvgPool2d(2, padding=1), nn.Flatten(), nn.Linear(width * (size // 4 + 1) ** 2, 10),
        )  # fmt: skip

    def forward(self, x, label):
        return torch.take_along_dim(self.main(x), label[:, None].long(), 1)[:, 0]


class Family(nn.Module):
    images = ("image", "z", "gen_z", "alpha")
    small = dict(size=8, latent=4, width=3)

    def __init__(self, size: int = 16, latent: int = 8, width: int = 16, reuse: bool = False):
        super().__init__()
        self.size, self.latent, self.reuse = size, latent, reuse
        self.gen = Generator(latent, width, size)
        self.critic = Critic(width, size)

    @property
    def players(self):
        # the generator runs in training in every turn of the critic
        return {
            "critic": Player(trains=("critic",), moves=("critic", "gen"), times=3, reuse=self.reuse),
            "gen": Player(trains=("gen",), moves=("critic", "gen")),
        }

    def optimizers(self, lr: float = 1e-4):
        return {name: torch.optim.Adam(parameters(self, name), lr, betas=(0.5, 0.9)) for name in self.players}

    def critic_loss(self, batch, draws):
        label = batch["label"]
        real, fake, alpha = batch["image"], self.gen(draws["z"], label), draws["alpha"]
        slope = gradient(lambda x: self.critic(x, label), alpha * real + (1 - alpha) * fake)
        penalty = (((slope**2).sum((1, 2, 3)) ** 0.5 - 1) ** 2).mean()
        distance = self.critic(real, label).mean() - self.critic(fake, label).mean()
        return 10 * penalty - distance, {"distance": distance, "penalty": penalty}

    def gen_loss(self, batch, draws):
        loss = -self.critic(self.gen(draws["gen_z"], batch["label"]), batch["label"]).mean()
        return loss, {"gen_loss": loss}

    def sample(self, draws):
        return self.gen(draws["gen_z"], draws["label"])


def gradient(f, x):
    return torch.autograd.grad(f(x).sum(), x, create_graph=True)[0]
