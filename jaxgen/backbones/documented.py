"""The UNet that document 002 prints (lines 256-319), mended as little as possible."""

import jax.numpy as jnp
from flax import nnx

from jaxgen import nn
from jaxgen.backbones.embeddings import sinusoidal
from jaxgen.backbones.parts import check_conditions
from jaxgen.errors import UserError


class ResidualBlock(nnx.Module):
    """x (N, H, W, in_channels), t (N, time_emb_dim) -> (N, H, W, out_channels)."""

    def __init__(self, in_channels, out_channels, time_emb_dim):
        self.time_mlp = nn.Linear(time_emb_dim, out_channels)
        self.block1 = nn.Sequential(
            nn.GroupNorm(8, in_channels), nn.SiLU(), nn.Conv2d(in_channels, out_channels, 3, padding=1)
        )
        self.block2 = nn.Sequential(
            nn.GroupNorm(8, out_channels), nn.SiLU(), nn.Conv2d(out_channels, out_channels, 3, padding=1)
        )
        self.residual_conv = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def __call__(self, x, t):
        h = self.block1(x)
        h = nn.added(h, self.time_mlp(t)[:, None, None])
        h = self.block2(h)
        return h + self.residual_conv(x)


class UNet(nnx.Module):
    """x (N, H, W, in_channels) of 8 pixels or more, time (N,) -> (N, H, W, out_channels)."""

    classes = context = 0

    def __init__(self, in_channels=1, out_channels=1, time_emb_dim=256, width=64):
        if width < 8 or width % 8:
            raise UserError(f"UNet: expected a width that is a multiple of 8, the groups of its norms, got {width}.")
        self.channels, self.features = in_channels, time_emb_dim
        self.time_mlp = nn.Sequential(
            nn.Linear(time_emb_dim, time_emb_dim), nn.SiLU(), nn.Linear(time_emb_dim, time_emb_dim)
        )
        # mended: 8 groups cannot be made of one channel, and one group of it would show the first block any noise
        # at one strength
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.down1 = ResidualBlock(width, width, time_emb_dim)
        self.down2 = ResidualBlock(width, width * 2, time_emb_dim)
        self.down3 = ResidualBlock(width * 2, width * 4, time_emb_dim)
        self.mid = ResidualBlock(width * 4, width * 4, time_emb_dim)
        self.up1 = ResidualBlock(width * 8, width * 2, time_emb_dim)
        self.up2 = ResidualBlock(width * 4, width, time_emb_dim)
        self.up3 = ResidualBlock(width * 2, width, time_emb_dim)
        self.final_conv = nn.Conv2d(width, out_channels, 1)
        self.downsample = nn.MaxPool2d(2)

    def __call__(self, x, time, label=None, context=None):
        check_images(self, x)
        check_conditions(self, x, time, label, context)
        # mended: the layers read features, and a time is one number
        t = self.time_mlp(sinusoidal(time.astype(x.dtype), self.features))
        x1 = self.down1(self.stem(x), t)
        x2 = self.down2(self.downsample(x1), t)
        x3 = self.down3(self.downsample(x2), t)
        x = self.mid(self.downsample(x3), t)
        x = self.up1(joined(x, x3), t)
        x = self.up2(joined(x, x2), t)
        x = self.up3(joined(x, x1), t)
        return self.final_conv(x)


def joined(x, skip):
    """Mended: 28 pixels are halved to 14, 7, 3, and 3 doubled is not 7. Of even sizes this is the printed doubling."""
    up = nn.interpolate(x, skip.shape[1:3], mode="bilinear", align_corners=True)
    return jnp.concatenate([up, skip], -1)


def check_images(net, x):
    if x.ndim != 4 or x.shape[3] != net.channels or min(x.shape[1:3]) < 8:
        raise UserError(f"UNet: expected images (N, 8 or more, 8 or more, {net.channels}), got {x.shape}.")


def build(size, channels, width, classes=0, context=0, dropout=0.0):
    given = {"classes": classes, "context": context, "dropout": dropout}
    if odd := [f"{name}={value}" for name, value in given.items() if value]:
        raise UserError(f"documented: it knows no {', '.join(odd)}. Leave it out, or use unet or dit.")
    if size < 8:
        raise UserError(f"documented: expected images of 8 pixels or more, to be halved three times, got {size}.")
    return UNet(channels, channels, 4 * width, width)
