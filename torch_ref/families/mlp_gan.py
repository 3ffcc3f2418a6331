"""The first GAN (Goodfellow et al., 2014) as the documents write it: two fully connected nets on flat images."""

from typing import Literal

from torch import nn

from torch_ref import objectives


class Generator(nn.Module):
    """(N, input_dim) -> (N, output_dim) in [-1, 1]."""

    def __init__(self, input_dim, output_dim, hidden_dims=(256, 512, 1024)):
        super().__init__()
        widths, layers = (input_dim, *hidden_dims), []
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(wide, narrow), nn.ReLU()]
        self.main = nn.Sequential(*layers, nn.Linear(widths[-1], output_dim), nn.Tanh())

    def forward(self, x):
        return self.main(x)


class Discriminator(nn.Module):
    """(N, input_dim) -> (N, 1): the probability that an image is real."""

    def __init__(self, input_dim, hidden_dims=(1024, 512, 256)):
        super().__init__()
        widths, layers = (input_dim, *hidden_dims), []
        for wide, narrow in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(wide, narrow), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers, nn.Linear(widths[-1], 1), nn.Sigmoid())

    def forward(self, x):
        return self.main(x)

    def logits(self, x):
        return self.main[:-1](x).reshape(-1)


class Family(nn.Module):
    images = ("image",)
    small = dict(size=6, channels=2, latent=5, hidden=(7, 9))

    def __init__(
        self,
        size: int = 28,  # of the images, in pixels
        channels: int = 1,  # of the images: 1 gray, 3 colour
        latent: int = 100,  # length of the noise
        hidden: tuple[int, ...] = (256, 512, 1024),  # widths of the generator, mirrored in the discriminator
        objective: objectives.Name = "bce",  # what the two players minimise
        turns: int = 0,  # of the discriminator in a step; 0: the objective's own, 5 for wasserstein_gp, else 1
        reuse: bool = False,  # each of these turns sees the same images, as document 002 prints; else new ones
        order: objectives.Order = "alternating",  # of the players: by turns, or both from the state before the step
        penalty: float = 10.0,  # weight of the objective's penalty on slopes, if it has one
        initial: Literal["torch", "dcgan"] = "torch",  # initial weights: PyTorch's defaults, or N(0, 0.02)
    ):
        super().__init__()
        self.size, self.channels, self.latent = size, channels, latent
        objectives.settle(self, objective, turns, reuse, order, penalty)
        self.gen = Generator(latent, channels * size**2, hidden)
        self.disc = Discriminator(channels * size**2, hidden[::-1])
        if initial == "dcgan":
            self.apply(dcgan_init)

    @property
    def players(self):
        return objectives.players(self)

    def optimizers(
        self,
        lr: float = 2e-4,  # learning rate of Adam
        betas: tuple[float, float] = (0.9, 0.999),  # decays of its two averages
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return objectives.optimizers(self, lr, betas, weight_decay)

    def disc_loss(self, batch, draws):
        real, fake = batch["image"].flatten(1), self.gen(draws["z"]).detach()
        return objectives.disc_loss(self, Discriminator.logits, real, fake, draws)

    def gen_loss(self, batch, draws):
        real, fake = batch["image"].flatten(1), self.gen(draws["z"])
        return objectives.gen_loss(self, Discriminator.logits, real, fake)

    def sample(self, draws):
        return self.gen(draws["z"]).unflatten(1, (self.channels, self.size, self.size))


def dcgan_init(layer):
    """Weights N(0, 0.02), biases 0."""
    if isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        nn.init.zeros_(layer.bias)
