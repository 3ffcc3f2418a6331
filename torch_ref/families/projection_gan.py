"""Class-conditional GAN of today's form, with a projection discriminator (Miyato & Koyama, 2018).

Labels are in the generator's norms (Dumoulin et al., 2017), and a penalty on slopes (Mescheder et al., 2018) stands
where the papers of its time bound the discriminator's weights."""

from torch import nn

from torch_ref import objectives


class ConditionalBatchNorm2d(nn.Module):
    """x (N, C, H, W), label (N,): BatchNorm whose scale and shift are those of the label."""

    def __init__(self, channels, classes):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.scale = nn.Embedding(classes, channels)
        self.shift = nn.Embedding(classes, channels)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x, label):
        scale, shift = (told(label)[:, :, None, None] for told in (self.scale, self.shift))
        return self.norm(x) * scale + shift


class Generator(nn.Module):
    """z (N, latent, 1, 1), label (N,) -> (N, channels, size, size) in [-1, 1]."""

    def __init__(self, latent, channels, width, size, classes):
        super().__init__()
        widths = [width * 2**n for n in reversed(range(levels(size)))]
        self.first = nn.ConvTranspose2d(latent, widths[0], 4, 1, 0, bias=False)
        self.ups = nn.ModuleList([nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False) for wide in widths[:-1]])
        self.norms = nn.ModuleList([ConditionalBatchNorm2d(each, classes) for each in widths])
        self.last = nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1)
        self.relu, self.tanh = nn.ReLU(), nn.Tanh()

    def forward(self, z, label):
        h = z
        for layer, norm in zip([self.first, *self.ups], self.norms, strict=True):
            h = self.relu(norm(layer(h), label))
        return self.tanh(self.last(h))


class Discriminator(nn.Module):
    """x (N, channels, size, size), label (N,) -> logits (N,): how real an image looks, and how much like its label.
    No statistics of a batch: a slope is that of one image."""

    def __init__(self, channels, width, size, classes):
        super().__init__()
        widths = [channels, *(width * 2**n for n in range(levels(size)))]
        layers = []
        for narrow, wide in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(narrow, wide, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.main = nn.Sequential(*layers)
        self.score = nn.Linear(widths[-1], 1)
        self.embedding = nn.Embedding(classes, widths[-1])

    def forward(self, x, label):
        h = self.main(x).sum((2, 3))
        return self.score(h)[:, 0] + (self.embedding(label) * h).sum(1)


def levels(size):
    """How often images of 4 pixels are doubled."""
    return size.bit_length() - 3


class Family(nn.Module):
    images = ("image", "z")
    small = dict(size=8, latent=5, width=3, classes=4)

    def __init__(
        self,
        size: int = 32,  # of the images, in pixels: 8, 16, 32, ...
        channels: int = 1,  # of the images: 1 gray, 3 colour
        classes: int = 10,  # of the labels
        latent: int = 100,  # length of the noise
        width: int = 64,  # channels of the largest maps; smaller ones have 2, 4, 8 times as many
        objective: objectives.Name = "r1",  # what the two players minimise
        turns: int = 0,  # of the discriminator in a step; 0: the objective's own, 5 for wasserstein_gp, else 1
        reuse: bool = False,  # each of these turns sees the same images, as document 002 prints; else new ones
        order: objectives.Order = "alternating",  # of the players: by turns, or both from the state before the step
        penalty: float = 1.0,  # weight of the objective's penalty on slopes, if it has one
    ):
        super().__init__()
        self.size, self.channels, self.latent, self.classes = size, channels, latent, classes
        objectives.settle(self, objective, turns, reuse, order, penalty)
        self.gen = Generator(latent, channels, width, size, classes)
        self.disc = Discriminator(channels, width, size, classes)

    @property
    def players(self):
        return objectives.players(self, moves=("gen",))

    def optimizers(
        self,
        lr: float = 2e-4,  # learning rate of Adam
        betas: tuple[float, float] = (0.5, 0.999),  # decays of its two averages
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return objectives.optimizers(self, lr, betas, weight_decay)

    def critic(self, label):
        """-> the discriminator's logits of images with these labels."""
        return lambda disc, x: disc(x, label)

    def disc_loss(self, batch, draws):
        label = batch["label"]
        fake = self.gen(draws["z"], label).detach()
        return objectives.disc_loss(self, self.critic(label), batch["image"], fake, draws)

    def gen_loss(self, batch, draws):
        label = batch["label"]
        return objectives.gen_loss(self, self.critic(label), batch["image"], self.gen(draws["z"], label))

    def sample(self, draws):
        return self.gen(draws["z"], draws["label"])
