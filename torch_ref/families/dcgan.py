"""Deep convolutional GAN (Radford et al., 2016) for images of 64 or 32 pixels, trained by turns."""

from typing import Literal

from torch import nn

from torch_ref import objectives


class Generator(nn.Module):
    """(N, latent_dim, 1, 1) -> (N, img_channels, size, size) in [-1, 1]."""

    def __init__(self, latent_dim=100, img_channels=1, feature_map_size=64, size=64):
        super().__init__()
        widths = [feature_map_size * n for n in ((8, 4, 2, 1) if size == 64 else (4, 2, 1))]
        layers = [nn.ConvTranspose2d(latent_dim, widths[0], 4, 1, 0, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.BatchNorm2d(narrow), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[-1], img_channels, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, z):
        return self.main(z)


class Discriminator(nn.Module):
    """(N, img_channels, size, size) -> (N,): the probability that an image is real."""

    def __init__(self, img_channels=1, feature_map_size=64, size=64, norm="batch"):
        super().__init__()
        widths = [feature_map_size * n for n in ((1, 2, 4, 8) if size == 64 else (1, 2, 4))]
        layers = [nn.Conv2d(img_channels, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for narrow, wide in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(narrow, wide, 4, 2, 1, bias=False), normed(norm, wide), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(widths[-1], 1, 4, 1, 0, bias=False), nn.Sigmoid()]
        self.main = nn.Sequential(*layers)

    def forward(self, x):
        return self.main(x).reshape(-1)

    def logits(self, x):
        return self.main[:-1](x).reshape(-1)


class Family(nn.Module):
    images = ("image", "z")
    small = dict(size=32, latent=5, width=3)

    def __init__(
        self,
        size: Literal[64, 32] = 64,  # of the images, in pixels
        channels: int = 1,  # of the images: 1 gray, 3 colour
        latent: int = 100,  # length of the noise
        width: int = 64,  # channels of the largest maps; smaller ones have 2, 4, 8 times as many
        objective: objectives.Name = "bce_half",  # what the two players minimise
        turns: int = 0,  # of the discriminator in a step; 0: the objective's own, 5 for wasserstein_gp, else 1
        reuse: bool = False,  # each of these turns sees the same images, as document 002 prints; else new ones
        order: objectives.Order = "alternating",  # of the players: by turns, or both from the state before the step
        penalty: float = 10.0,  # weight of the objective's penalty on slopes, if it has one
        initial: Literal["dcgan", "torch"] = "dcgan",  # initial weights: N(0, 0.02), or PyTorch's defaults
    ):
        super().__init__()
        self.size, self.channels, self.latent = size, channels, latent
        objectives.settle(self, objective, turns, reuse, order, penalty)
        self.gen = Generator(latent, channels, width, size)
        # a slope must be that of one image, so that batch statistics are out of the question
        norm = "group" if objectives.named(objective).penalty else "batch"
        self.disc = Discriminator(channels, width, size, norm)
        if initial == "dcgan":
            self.apply(dcgan_init)

    @property
    def players(self):
        return objectives.players(self, moves=("disc", "gen"))

    def optimizers(
        self,
        lr: float = 2e-4,  # learning rate of Adam
        betas: tuple[float, float] = (0.5, 0.999),  # decays of its two averages
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return objectives.optimizers(self, lr, betas, weight_decay)

    def disc_loss(self, batch, draws):
        fake = self.gen(draws["z"]).detach()
        return objectives.disc_loss(self, Discriminator.logits, batch["image"], fake, draws)

    def gen_loss(self, batch, draws):
        return objectives.gen_loss(self, Discriminator.logits, batch["image"], self.gen(draws["z"]))

    def sample(self, draws):
        return self.gen(draws["z"])


def normed(norm, channels):
    """BatchNorm2d as printed, or the norm of all of an image's values at once, which mixes no images."""
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(1, channels)


def dcgan_init(layer):
    """Convolutions N(0, 0.02), the scales of BatchNorm N(1, 0.02), its shifts 0."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
        nn.init.zeros_(layer.bias)
