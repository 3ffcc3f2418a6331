"""The parts of the UNet, with the keys and the arithmetic of diffusers."""

import jax
import jax.numpy as jnp
from flax import nnx

from jaxgen import nn
from jaxgen.backbones.parts import attend, zeroed


class TimestepEmbedding(nnx.Module):
    """(N, in_features) -> (N, features)."""

    def __init__(self, in_features, features):
        self.linear_1 = nn.Linear(in_features, features)
        self.linear_2 = nn.Linear(features, features)

    def __call__(self, x):
        return self.linear_2(jax.nn.silu(self.linear_1(x)))


class ResnetBlock(nnx.Module):
    """x (N, H, W, in_channels), emb (N, features) -> (N, H, W, out_channels)."""

    def __init__(self, in_channels, out_channels, features, groups, eps, dropout):
        self.norm1 = nn.GroupNorm(groups, in_channels, eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(features, out_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels, eps)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.conv2 = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.conv_shortcut = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def __call__(self, x, emb):
        h = self.conv1(jax.nn.silu(self.norm1(x)))
        h = nn.added(h, self.time_emb_proj(jax.nn.silu(emb))[:, None, None])
        h = self.conv2(self.dropout(jax.nn.silu(self.norm2(h))))
        return self.conv_shortcut(x) + h


class Attention(nnx.Module):
    """x (N, H, W, channels) looks at itself, or at context (N, tokens, context)."""

    def __init__(self, channels, head_dim, groups, eps, context=0):
        self.heads = channels // (head_dim or channels)
        self.group_norm = nn.GroupNorm(groups, channels, eps)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(context or channels, channels)
        self.to_v = nn.Linear(context or channels, channels)
        self.to_out = nn.Sequential(zeroed(nn.Linear(channels, channels)))

    def __call__(self, x, context=None):
        h = self.group_norm(x).reshape(x.shape[0], -1, x.shape[3])
        seen = h if context is None else context
        h = attend(self.to_q(h), self.to_k(seen), self.to_v(seen), self.heads)
        return x + self.to_out(h).reshape(x.shape)


def attentions(channels, count, context, **how):
    """`count` to the image itself, and as many to the context."""
    own = [Attention(channels, **how) for _ in range(count)]
    cross = [Attention(channels, context=context, **how) for _ in range(count if context else 0)]
    return nn.ModuleList(own), nn.ModuleList(cross)


def look(block, i, x, context):
    """The attention after layer i, where the block has any."""
    if len(block.attentions):
        x = block.attentions[i](x)
    if len(block.cross_attentions):
        x = block.cross_attentions[i](x, context)
    return x


class Downsample(nnx.Module):
    def __init__(self, channels, padding):
        self.conv, self.padding = nn.Conv2d(channels, channels, 3, 2, padding), padding

    def __call__(self, x):
        if self.padding == 0:  # as the first DDPMs: a row and a column more, on one side
            x = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
        return self.conv(x)


class Upsample(nnx.Module):
    def __init__(self, channels):
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def __call__(self, x, size):
        return self.conv(nn.interpolate(x, size))  # the doubling of diffusers, where size is even


class DownBlock(nnx.Module):
    """-> x, and what the way up will be given."""

    def __init__(self, widths, resnet, looks, downsample):
        self.resnets = nn.ModuleList([resnet(*pair) for pair in widths])
        self.attentions, self.cross_attentions = looks
        self.downsamplers = nn.ModuleList(downsample)

    def __call__(self, x, emb, context):
        left = []
        for i, resnet in enumerate(self.resnets):
            x = look(self, i, resnet(x, emb), context)
            left.append(x)
        for downsample in self.downsamplers:
            x = downsample(x)
            left.append(x)
        return x, left


class MidBlock(nnx.Module):
    def __init__(self, width, resnet, looks):
        self.resnets = nn.ModuleList([resnet(width, width), resnet(width, width)])
        self.attentions, self.cross_attentions = looks

    def __call__(self, x, emb, context):
        x = look(self, 0, self.resnets[0](x, emb), context)
        return self.resnets[1](x, emb)


class UpBlock(nnx.Module):
    """Takes its share off the end of `left`."""

    def __init__(self, widths, resnet, looks, upsample):
        self.resnets = nn.ModuleList([resnet(*pair) for pair in widths])
        self.attentions, self.cross_attentions = looks
        self.upsamplers = nn.ModuleList(upsample)

    def __call__(self, x, emb, context, left):
        for i, resnet in enumerate(self.resnets):
            x = jnp.concatenate([x, left.pop()], -1)
            x = look(self, i, resnet(x, emb), context)
        for upsample in self.upsamplers:
            x = upsample(x, left[-1].shape[1:3])
        return x
