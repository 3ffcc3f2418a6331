"""VQ-VAE (van den Oord et al., 2017): codes are rows of a table, which follows the encoder by running averages.

`sample` draws the codes independently, each as often as it is used: what is right from pixel to pixel is not right as a
whole. Of images that look like the data another model has to be trained, on the codes that `encode` gives."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxgen import axis, nn, noise
from jaxgen.core import Input, Player, Recipe
from jaxgen.errors import UserError


class VectorQuantizer(nnx.Module):
    """x (N, h, w, depth) -> the nearest of `count` vectors at each place, and its number (N, h, w). In training the
    vectors move towards the means of those that chose them (appendix A.1); no gradient reaches them."""

    training = True

    def __init__(self, count, depth, decay=0.99, eps=1e-5):
        self.weight = nn.uniform(1 / count, count, depth, kind=nnx.BatchStat)
        self.cluster_size = nn.constant(0.0, count, kind=nnx.BatchStat)
        self.embed_avg = nn.constant(0.0, count, depth, kind=nnx.BatchStat)
        self.count, self.decay, self.eps = count, decay, eps

    def __call__(self, x):
        x = jax.lax.stop_gradient(nn.full(x))
        codes = self.choose(x)
        nearest = self.vectors(codes)
        if self.training:
            self.move(x.reshape(-1, x.shape[-1]), jax.nn.one_hot(codes.reshape(-1), self.count, dtype=x.dtype))
        return nearest, codes

    def choose(self, x):
        """The numbers of the nearest vectors; of several the first."""
        weight = self.weight[...]
        # |x - e|^2 without |x|^2, which is the same for all
        distance = (weight**2).sum(1) - 2 * jnp.matmul(x, weight.T, precision="highest")
        return distance.argmin(-1).astype(jnp.int32)

    def vectors(self, codes):
        """Of a number that stands for none, NaN: JAX cannot raise inside a compiled program."""
        return jnp.take(self.weight[...], jnp.where(codes < 0, self.count, codes), axis=0, mode="fill")

    def move(self, rows, chosen):
        """Running averages of how many rows of the global batch choose a vector, and of their sum."""
        total = lambda x: axis.mean(x) * axis.size()
        sums = jnp.matmul(chosen.T, rows, precision="highest")
        self.cluster_size[...] += (1 - self.decay) * (total(chosen.sum(0)) - self.cluster_size)
        self.embed_avg[...] += (1 - self.decay) * (total(sums) - self.embed_avg)
        size = self.shares() * self.cluster_size.sum()
        # a vector that was never chosen keeps its place
        used = self.cluster_size[...] > 0
        self.weight[...] = jnp.where(used[:, None], self.embed_avg / jnp.where(used, size, 1)[:, None], self.weight)

    def shares(self):
        """How often each vector is chosen, smoothed (Laplace), so that none has no size at all."""
        size = self.cluster_size + self.eps
        return size / size.sum()


class VQVAE(nnx.Module):
    """The nets of section 4.1: x (N, size, size, channels) -> (N, size / 4, size / 4, depth) by `encoder`, and back by
    `decoder`."""

    def __init__(self, channels, width, vectors, depth, decay):
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 4, 2, 1), nn.ReLU(), nn.Conv2d(width, width, 4, 2, 1), Residual(width),
            Residual(width), nn.ReLU(), nn.Conv2d(width, depth, 1),
        )  # fmt: skip
        self.codebook = VectorQuantizer(vectors, depth, decay)
        self.decoder = nn.Sequential(
            nn.Conv2d(depth, width, 3, padding=1), Residual(width), Residual(width), nn.ReLU(),
            nn.ConvTranspose2d(width, width, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(width, channels, 4, 2, 1),
        )  # fmt: skip


class Residual(nnx.Module):
    """What a convolution of 3 and one of 1 find is added."""

    def __init__(self, width):
        self.main = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1)
        )

    def __call__(self, x):
        return x + self.main(x)


def straight_through(x, nearest):
    """`nearest`, whose gradient goes to x as if it were x."""
    return x + jax.lax.stop_gradient(nearest - x)


def distance(x, target):
    """The mean squared error, image by image: one float32 that sums all pixels of a batch loses a digit."""
    return nn.mse_loss(x, target, reduction="none").mean((1, 2, 3)).mean()


class Family(nnx.Module):
    players = {"vae": Player(trains=("vae",), moves=("vae",))}
    ranks = "loss"
    images = ("image",)
    small = dict(size=8, width=4, vectors=5, depth=3)
    further = (dict(size=12, channels=2, commitment=0.5, decay=0.9),)
    recipes = {
        "mnist": Recipe(
            "ours: the paper's nets and weights, smaller",
            printed={},
            chosen=dict(data="mnist", size=28, width=64, vectors=128, depth=32, batch=128, epochs=10, lr=1e-3),
        ),
        "digits": Recipe(
            "ours: digits put together again within minutes on two cores",
            printed={},
            chosen=dict(
                data="digits", size=16, width=32, vectors=64, depth=16, batch=64, steps=2000, lr=1e-3, eval_every=500
            ),
        ),
    }

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
        self.size, self.channels, self.commitment = size, channels, commitment
        check(size, channels, width, vectors, depth, commitment, decay)
        self.vae = VQVAE(channels, width, vectors, depth, decay)

    def inputs(self, batch):
        return {"image": Input((batch, self.size, self.size, self.channels))}

    def optimizers(
        self,
        lr: float = 1e-3,  # learning rate of Adam
        weight_decay: float = 0.0,  # decoupled (AdamW), in units of the rate
    ):
        return {name: optax.adamw(lr, weight_decay=weight_decay) for name in self.players}

    def draw(self, key, batch):
        return {}

    def draw_sample(self, key, count, first=0):
        return {"place": noise.uniform(key, count, self.size // 4, self.size // 4, first=first)}

    def vae_loss(self, batch, draws):
        """-> equation 3, whose second term the running averages are instead of."""
        image = batch["image"]
        x = nn.full(self.vae.encoder(image))
        nearest, codes = self.vae.codebook(x)
        rec = distance(self.vae.decoder(straight_through(x, nearest)), image)
        commitment = distance(x, nearest)
        loss = rec + self.commitment * commitment
        return loss, {"loss": loss, "rec": rec, "commitment": commitment, "perplexity": self.perplexity(codes)}

    def perplexity(self, codes):
        """How many codes the global batch uses, if it used them equally."""
        codebook = self.vae.codebook
        part = axis.mean(jax.nn.one_hot(codes, codebook.count, dtype=codebook.weight.dtype).mean((0, 1, 2)))
        return jnp.exp(-(part * jnp.log(part + 1e-10)).sum())

    def encode(self, image):
        """Images in [0, 1] -> the numbers of their vectors (N, size / 4, size / 4)."""
        return self.vae.codebook.choose(nn.full(self.vae.encoder(image)))

    def decode(self, codes):
        """Numbers of vectors -> images in [0, 1], but for what the decoder errs."""
        return nn.full(self.vae.decoder(self.vae.codebook.vectors(codes)))

    def sample(self, draws):
        """Of codes drawn independently: that at which the shares, added up, pass a uniform number."""
        edges = jnp.cumsum(self.vae.codebook.shares())[:-1]
        return self.decode(jnp.searchsorted(edges, draws["place"], side="right"))


def check(size, channels, width, vectors, depth, commitment, decay):
    if size < 4 or size % 4:
        raise UserError(f"size: expected a multiple of 4, as it is halved twice, got {size}.")
    for name, value in (("channels", channels), ("width", width), ("vectors", vectors), ("depth", depth)):
        if value < 1:
            raise UserError(f"{name}: expected at least 1, got {value}.")
    if not commitment >= 0:
        raise UserError(f"commitment: expected a weight of at least 0, got {commitment}.")
    if not 0 <= decay < 1:
        raise UserError(f"decay: expected a number in [0, 1), got {decay}.")
