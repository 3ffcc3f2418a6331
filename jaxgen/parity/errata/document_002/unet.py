"""The UNet."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import nn as layers
from jaxgen.errors import needs
from jaxgen.parity.errata.rows import HAZARD, STOPS, STOPS_OR_WRONG, raised, seen

torch = needs("torch", "verify")
nn, F = torch.nn, torch.nn.functional


class B2_1:
    """The first block asks for 8 groups of the image's one channel: the UNet cannot be built.

    A convolution from 1 to 64 channels before it; one group of one channel would erase how much noise there is."""

    lines, severity, until = "263, 294", STOPS, "diffusion"

    def failure(self):
        return raised(ValueError, "must be divisible by num_groups", lambda: nn.GroupNorm(8, 1))

    def mended(self):
        x = torch.randn(2, 1, 8, 8)
        maps = nn.GroupNorm(8, 64)(nn.Conv2d(1, 64, 3, padding=1)(x))
        erased = torch.allclose(nn.GroupNorm(1, 1)(x), nn.GroupNorm(1, 1)(5 * x), atol=1e-3)
        told = f"maps {tuple(maps.shape)}; GroupNorm(1, 1) makes x and 5 x equal"
        return seen(maps.shape == (2, 64, 8, 8) and erased, told)


class B2_2:
    """The time enters Linear(256, 256) as the bare number, (B,): an error, but for 256 floats, which are then one
    vector shared by the whole batch.

    A sinusoidal embedding of width 256 for each time, then the printed layers."""

    lines, severity, until = "288-292, 309, 387", STOPS_OR_WRONG, "diffusion"

    def failure(self):
        time_mlp = nn.Linear(256, 256)
        whole = raised(RuntimeError, "same dtype", lambda: time_mlp(torch.randint(0, 1000, (128,))))
        floats = raised(RuntimeError, "cannot be multiplied", lambda: time_mlp(torch.rand(128)))
        shape = tuple(time_mlp(torch.rand(256)).shape)
        return seen(shape == (256,), f"{whole}; floats: {floats}; of 256 times comes {shape}")

    def mended(self):
        t, rates = torch.tensor([0.0, 1, 500, 999]), torch.exp(-math.log(10000) * torch.arange(128) / 128)
        angles = t[:, None] * rates
        embedded = nn.Linear(256, 256)(torch.cat([angles.sin(), angles.cos()], 1))
        apart = torch.pdist(embedded).min().item()
        told = f"{tuple(embedded.shape)}, times at least {apart:.2f} apart"
        return seen(embedded.shape == (4, 256) and apart > 0.01, told)


class B2_3:
    """Images of 28 pixels are halved to 14, 7 and 3; doubled again, 3 is 6, which cannot be joined to 7.

    Padded to 32, and cut back."""

    lines, severity, until = "305-319, 400", STOPS, "diffusion"

    def failure(self):
        x = torch.zeros(1, 1, 28, 28)
        return raised(RuntimeError, "Expected size 6 but got size 7", lambda: self.down_and_up(x))

    def mended(self):
        y = self.down_and_up(F.pad(torch.zeros(1, 1, 28, 28), (2, 2, 2, 2)))[..., 2:-2, 2:-2]
        return seen(y.shape == (1, 4, 28, 28), f"{tuple(y.shape[-2:])} pixels come out")

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

    `jaxgen.nn.Upsample`, which is torch's to the last digits (`test_layers.py`)."""

    lines, severity = "306", HAZARD

    def failure(self):
        x, theirs = self.both()
        apart = abs(jax.image.resize(x, (1, 8, 8, 1), "bilinear") - theirs).max()
        return seen(apart > 0.1, f"normal 4 x 4 pixels to 8 x 8: up to {apart:.2f} apart")

    def mended(self):
        x, theirs = self.both()
        ours = layers.Upsample(scale_factor=2, mode="bilinear", align_corners=True)(x)
        apart = abs(ours - theirs).max()
        return seen(apart < 1e-12, f"in float64 {apart:.0e} apart")

    def both(self):
        """Pixels, and what the printed layer makes of them."""
        x = np.random.default_rng(0).normal(size=(1, 4, 4, 1))
        upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        return jnp.asarray(x), upsample(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()


class B2_5:
    """No attention, no dropout, no last norm and activation; the last convolution starts at PyTorch's initial weights,
    so that the first guess of the noise is worse than none.

    Options of a second network; its last convolution starts at zero, the loss therefore at that of no guess."""

    lines, severity, until = "283-320", HAZARD, "diffusion"

    def failure(self):
        loss = self.first_loss(lambda final_conv: None)
        return seen(loss > 1.02, f"the squared error of the first guess is {loss:.2f}")

    def mended(self):
        loss = self.first_loss(lambda final_conv: [nn.init.zeros_(x) for x in final_conv.parameters()])
        return seen(abs(loss - 1) < 0.02, f"{loss:.2f}, that of no guess")

    def first_loss(self, prepare):
        """Of the last layer on maps of unit variance, in units of the noise's variance."""
        final_conv, maps, noise = nn.Conv2d(64, 1, 1), torch.randn(8, 64, 32, 32), torch.randn(8, 1, 32, 32)
        prepare(final_conv)
        return (F.mse_loss(final_conv(maps), noise) / noise.var()).item()
