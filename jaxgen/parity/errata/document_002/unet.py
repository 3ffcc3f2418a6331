"""The UNet. Its mended form is `--net documented` (`jaxgen/backbones/documented.py` and its twin)."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import backbones
from jaxgen import nn as layers
from jaxgen.backbones.embeddings import sinusoidal
from jaxgen.errors import needs
from jaxgen.functional import Functional
from jaxgen.parity.errata.rows import HAZARD, STOPS, STOPS_OR_WRONG, raised, seen

torch = needs("torch", "verify")
nn, F = torch.nn, torch.nn.functional


def mended(width=64):
    """torch_ref's, for one channel, with a time embedding of 256."""
    return needs("torch_ref.backbones.documented", "verify").UNet(width=width)


def shapes(size, net="documented", width=64, **more):
    """-> our net for gray images of this size, and the shapes of its weights."""
    ours = Functional(backbones.build(net, size, 1, width, **more))
    return ours, jax.eval_shape(ours.init, jax.random.key(0))[0]


class B2_1:
    """The first block asks for 8 groups of the image's one channel: the UNet cannot be built.

    A convolution from 1 to 64 channels before it; one group of one channel would hide from the first block's
    convolutions how bright an image and how much noise there is."""

    lines, severity = "263, 294", STOPS

    def failure(self):
        return raised(ValueError, "must be divisible by num_groups", lambda: nn.GroupNorm(8, 1))

    def mended(self):
        with torch.device("meta"):
            theirs = sum(x.numel() for x in mended().parameters())
        ours = sum(math.prod(x.shape) for x in jax.tree.leaves(shapes(28)[1]))
        net = mended()
        norm, stem = nn.GroupNorm(1, 1), lambda x: net.down1.block1[0](net.stem(x))
        kept, erased = self.moved(stem), self.moved(norm)
        told = f"{ours:,} weights; x and 5 x + 1 give maps {kept:.2f} apart, with GroupNorm(1, 1) {erased:.0e}"
        return seen(ours == theirs and kept > 0.1 and erased < 1e-3, told)

    def moved(self, maps):
        """How far apart they are of noise, and of more noise in a brighter image."""
        x = torch.randn(2, 1, 8, 8)
        return (maps(x) - maps(5 * x + 1)).abs().mean().item()


class B2_2:
    """The time enters Linear(256, 256) as the bare number, (B,): an error, but for 256 floats, which are then one
    vector shared by the whole batch.

    A sinusoidal embedding of width 256 for each time, then the printed layers."""

    lines, severity = "288-292, 309, 387", STOPS_OR_WRONG

    def failure(self):
        time_mlp = nn.Linear(256, 256)
        whole = raised(RuntimeError, "same dtype", lambda: time_mlp(torch.randint(0, 1000, (128,))))
        floats = raised(RuntimeError, "cannot be multiplied", lambda: time_mlp(torch.rand(128)))
        shape = tuple(time_mlp(torch.rand(256)).shape)
        return seen(shape == (256,), f"{whole}; floats: {floats}; of 256 times comes {shape}")

    def mended(self):
        net, x = mended(width=8), torch.randn(1, 1, 8, 8)
        whole, few, many = torch.randint(0, 1000, (128,)), torch.rand(128), torch.arange(256.0)
        made = [net(x.expand(len(t), -1, -1, -1), t) for t in (whole, few, many)]
        apart = (made[2][1:] - made[2][:-1]).abs().amax((1, 2, 3)).min().item()
        same = torch.equal(made[0], net(x.expand_as(made[0]), whole.float()))
        own = same and [len(y) for y in made] == [128, 128, 256]
        told = f"128 integers, 128 and 256 floats each tell the net their own time: 0 to 255 at least {apart:.0e} apart"
        return seen(own and apart > 1e-4 and self.agrees(), told)

    def agrees(self):
        theirs = needs("torch_ref.backbones.embeddings", "verify").sinusoidal
        t = np.array([0.0, 1, 500, 999])
        ours = sinusoidal(jnp.asarray(t), 256)
        return ours.shape == (4, 256) and abs(ours - theirs(torch.from_numpy(t), 256).numpy()).max() < 1e-12


class B2_3:
    """Images of 28 pixels are halved to 14, 7 and 3; doubled again, 3 is 6, which cannot be joined to 7.

    What is doubled is made as large as what it joins; where sizes are even this is the printed doubling."""

    lines, severity = "305-319, 400", STOPS

    def failure(self):
        x = torch.zeros(1, 1, 28, 28)
        return raised(RuntimeError, "Expected size 6 but got size 7", lambda: self.down_and_up(x))

    def mended(self):
        net, t = mended(width=8), torch.tensor([5])
        theirs = [tuple(net(torch.zeros(1, 1, side, side), t).shape[2:]) for side in (28, 13)]
        ours = [self.ours(side) for side in (28, 13)]
        told = f"{theirs[0]} and {theirs[1]} pixels come out; of even sizes the printed doubling"
        return seen(theirs == ours == [(28, 28), (13, 13)] and self.doubles(), told)

    def ours(self, side):
        net, weights = shapes(side, width=8)
        images, times = jax.ShapeDtypeStruct((1, side, side, 1), float), jax.ShapeDtypeStruct((1,), int)
        return jax.eval_shape(lambda *given: net.apply(given[0], {}, *given[1:])[0], weights, images, times).shape[1:3]

    def doubles(self):
        joined, x = needs("torch_ref.backbones.documented", "verify").joined, torch.randn(1, 2, 4, 4)
        printed = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)(x)
        return torch.equal(joined(x, torch.zeros(1, 1, 8, 8))[:, :2], printed)

    def down_and_up(self, x):
        """The printed joints without the blocks between."""
        upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        levels = [x, F.max_pool2d(x, 2), F.max_pool2d(x, 4)]
        x = F.max_pool2d(levels[-1], 2)
        for level in reversed(levels):
            x = torch.cat([upsample(x), level], dim=1)
        return x


class B2_4:
    """Bilinear with aligned corners, as printed, is not what `jax.image.resize` computes.

    `jaxgen.nn.Upsample` and `interpolate`, which are torch's to the last digits (`test_layers.py`)."""

    lines, severity = "306", HAZARD

    def failure(self):
        x, theirs = self.both()
        apart = abs(jax.image.resize(x, (1, 8, 8, 1), "bilinear") - theirs).max()
        return seen(apart > 0.1, f"normal 4 x 4 pixels to 8 x 8: up to {apart:.2f} apart")

    def mended(self):
        x, theirs = self.both()
        ours = layers.Upsample(scale_factor=2, mode="bilinear", align_corners=True)(x)
        sized = layers.interpolate(x, (8, 8), mode="bilinear", align_corners=True)
        apart = max(abs(ours - theirs).max(), abs(sized - theirs).max())
        return seen(apart < 1e-12, f"in float64 {apart:.0e} apart")

    def both(self):
        """Pixels, and what the printed layer makes of them."""
        x = np.random.default_rng(0).normal(size=(1, 4, 4, 1))
        upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        return jnp.asarray(x), upsample(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()


class B2_5:
    """No attention, no dropout, no last norm and activation; the last convolution starts at PyTorch's initial weights,
    so that the first guess of the noise is worse than none.

    `--net unet` has all of them, `--dropout` its rate; its last convolution starts at zero, the loss therefore at that
    of no guess."""

    lines, severity = "283-320", HAZARD

    def failure(self):
        loss = self.first_loss(nn.Conv2d(64, 1, 1))
        return seen(loss > 1.02, f"the squared error of the first guess is {loss:.2f}")

    def mended(self):
        ours, weights = shapes(16, net="unet", width=8, dropout=0.1)
        theirs = needs("torch_ref.backbones.unet", "verify").build(16, 1, 8, dropout=0.1)
        last = [make(jax.random.key(0)) for path, make in ours.recipes[0].items() if path[0] == "conv_out"]
        begins = len(last) == 2 and not any(x.any() for x in last)
        has = ours.drops and "attentions" in weights["mid_block"] and "conv_norm_out" in weights
        x, loss = torch.randn(2, 1, 16, 16), self.first_loss(theirs.conv_out, channels=8)
        guess = theirs(x, torch.tensor([5, 900])).abs().max().item()
        told = f"{loss:.2f}, that of no guess; of the whole net, with attention and dropout, it is {guess:.0f}"
        return seen(has and begins and guess == 0 and abs(loss - 1) < 0.02, told)

    def first_loss(self, final_conv, channels=64):
        """Of the last layer on maps of unit variance, in units of the noise's variance."""
        maps, noise = torch.randn(8, channels, 32, 32), torch.randn(8, 1, 32, 32)
        return (F.mse_loss(final_conv(maps), noise) / noise.var()).item()
