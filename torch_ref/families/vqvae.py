"""VQ-VAE (van den Oord et al., 2017): codes are rows of a table, which follows the encoder by running averages.

`sample` draws the codes independently, each as often as it is used: what is right from pixel to pixel is not right as a
whole. Of images that look like the data another model has to be trained, on the codes that `encode` gives."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_ref.core import Player, parameters


class VectorQuantizer(nn.Module):
    """x (N, depth, h, w) -> the nearest of `count` vectors at each place, and its number (N, h, w). In training the
    vectors move towards the means of those that chose them (appendix A.1); no gradient reaches them."""

    def __init__(self, count, depth, decay=0.99, eps=1e-5):
        super().__init__()
        self.register_buffer("weight", torch.empty(count, depth).uniform_(-1 / count, 1 / count))
        self.register_buffer("cluster_size", torch.zeros(count))
        self.register_buffer("embed_avg", torch.zeros(count, depth))
        self.count, self.decay, self.eps = count, decay, eps

    def forward(self, x):
        x = x.detach().movedim(1, -1)
        codes = self.choose(x)
        nearest = self.vectors(codes)
        if self.training:
            self.move(x.flatten(0, -2), F.one_hot(codes.flatten().long(), self.count).to(x.dtype))
        return nearest.movedim(-1, 1), codes

    def choose(self, x):
        """The numbers of the nearest vectors; of several the first."""
        weight = self.weight
        # |x - e|^2 without |x|^2, which is the same for all
        distance = (weight**2).sum(1) - 2 * x @ weight.T
        return distance.argmin(-1).to(torch.int32)

    def vectors(self, codes):
        return self.weight[codes]

    def move(self, rows, chosen):
        """Running averages of how many rows of the global batch choose a vector, and of their sum."""
        sums = chosen.T @ rows
        self.cluster_size += (1 - self.decay) * (chosen.sum(0) - self.cluster_size)
        self.embed_avg += (1 - self.decay) * (sums - self.embed_avg)
        size = self.shares() * self.cluster_size.sum()
        # a vector that was never chosen keeps its place
        used = self.cluster_size > 0
        self.weight.copy_(torch.where(used[:, None], self.embed_avg / torch.where(used, size, 1)[:, None], self.weight))

    def shares(self):
        """How often each vector is chosen, smoothed (Laplace), so that none has no size at all."""
        size = self.cluster_size + self.eps
        return size / size.sum()


class VQVAE(nn.Module):
    """The nets of section 4.1: x (N, channels, size, size) -> (N, depth, size / 4, size / 4) by `encoder`, and back by
    `decoder`."""

    def __init__(self, channels, width, vectors, depth, decay):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 4, 2, 1), Residual(width),
            Residual(width), nn.ReLU(), nn.Conv2d(width, depth, 1),
        )  # fmt: skip
        self.codebook = VectorQuantizer(vectors, depth, decay)
        self.decoder = nn.Sequential(
            nn.Conv2d(depth, width, 3, padding=1), Residual(width), Residual(width), nn.ReLU(),
            nn.ConvTranspose2d(width, width, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(width, channels, 4, 2, 1),
        )  # fmt: skip


class Residual(nn.Module):
    """What a convolution of 3 and one of 1 find is added."""

    def __init__(self, width):
        super().__init__()
        self.main = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1)
        )

    def forward(self, x):
        return x + self.main(x)


def straight_through(x, nearest):
    """`nearest`, whose gradient goes to x as if it were x."""
    return x + (nearest - x).detach()


def distance(x, target):
    """The mean squared error, image by image: one float32 that sums all pixels of a batch loses a digit."""
    return F.mse_loss(x, target, reduction="none").mean((1, 2, 3)).mean()


class Family(nn.Module):
    players = {"vae": Player(trains=("vae",), moves=("vae",))}
    images = ("image",)
    small = dict(size=8, width=4, vectors=5, depth=3)

    def __init__(
        self,
        size: int = 28,  # of the images, in pixels: a multiple of 4
        channels: int = 1,  # of the images: 1 gray, 3 colour
        width: int = 64,  # channels of the maps
        vectors: int = 128,  # vectors in the table
        depth: int = 32,  # length of a vector
        commitment: float = 0.25,  # weight of the encoder's distance from its vectors
        decay: float = 0.99,  # of the running averages that the vectors follow
    ):
        super().__init__()
        self.size, self.channels, self.commitment = size, channels, commitment
        check(size, channels, width, vectors, depth, commitment, decay)
        self.vae = VQVAE(channels, width, vectors, depth, decay)

    def optimizers(
        self,
        lr: float = 1e-3,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: torch.optim.AdamW(parameters(self, name), lr, weight_decay=weight_decay) for name in self.players}

    def vae_loss(self, batch, draws):
        """-> equation 3, whose second term the running averages are instead of."""
        image = batch["image"]
        x = self.vae.encoder(image)
        nearest, codes = self.vae.codebook(x)
        rec = distance(self.vae.decoder(straight_through(x, nearest)), image)
        commitment = distance(x, nearest)
        loss = rec + self.commitment * commitment
        return loss, {"loss": loss, "rec": rec, "commitment": commitment, "perplexity": self.perplexity(codes)}

    def perplexity(self, codes):
        """How many codes the global batch uses, if it used them equally."""
        codebook = self.vae.codebook
        part = F.one_hot(codes.long(), codebook.count).to(codebook.weight.dtype).mean((0, 1, 2))
        return torch.exp(-(part * torch.log(part + 1e-10)).sum())

    def encode(self, image):
        """Images in [0, 1] -> the numbers of their vectors (N, size / 4, size / 4)."""
        return self.vae.codebook.choose(self.vae.encoder(image).movedim(1, -1))

    def decode(self, codes):
        """Numbers of vectors -> images in [0, 1], but for what the decoder errs."""
        return self.vae.decoder(self.vae.codebook.vectors(codes).movedim(-1, 1))

    def sample(self, draws):
        """Of codes drawn independently: that at which the shares, added up, pass a uniform number."""
        edges = torch.cumsum(self.vae.codebook.shares(), 0)[:-1]
        return self.decode(torch.searchsorted(edges, draws["place"], right=True))


def check(size, channels, width, vectors, depth, commitment, decay):
    if size < 4 or size % 4:
        raise ValueError(f"size: expected a multiple of 4, as it is halved twice, got {size}.")
    for name, value in (("channels", channels), ("width", width), ("vectors", vectors), ("depth", depth)):
        if value < 1:
            raise ValueError(f"{name}: expected at least 1, got {value}.")
    if not commitment >= 0:
        raise ValueError(f"commitment: expected a weight of at least 0, got {commitment}.")
    if not 0 <= decay < 1:
        raise ValueError(f"decay: expected a number in [0, 1), got {decay}.")
