"""The UNet of Ho et al. (2020), with the keys and the arithmetic of `diffusers.UNet2DModel`; attention to a context is
ours."""

import math
from functools import partial

import jax
from flax import nnx

from jaxgen import nn
from jaxgen.backbones.embeddings import sinusoidal
from jaxgen.backbones.parts import check_conditions, check_images, zeroed
from jaxgen.backbones.unet_blocks import (
    DownBlock,
    Downsample,
    MidBlock,
    ResnetBlock,
    TimestepEmbedding,
    UpBlock,
    Upsample,
    attentions,
)
from jaxgen.errors import UserError


class UNet(nnx.Module):
    """x (N, size, size, in_channels), time (N,), label (N,), context (N, tokens, context) -> (N, size, size,
    out_channels). The arguments are those of diffusers, whose `num_class_embeds` is classes + 1."""

    def __init__(
        self, size, in_channels, out_channels, block_out_channels, layers_per_block=2, attention_levels=(),
        norm_num_groups=32, classes=0, dropout=0.0, context=0, *, attention_head_dim=8, norm_eps=1e-5,
        downsample_padding=1, flip_sin_to_cos=True, freq_shift=0,
    ):  # fmt: skip
        check(size, block_out_channels, norm_num_groups, attention_head_dim)
        self.size, self.channels, self.classes, self.context = size, in_channels, classes, context
        width, features = block_out_channels[0], 4 * block_out_channels[0]
        self.waves = dict(features=width, flip_sin_to_cos=flip_sin_to_cos, freq_shift=freq_shift)
        self.conv_in = nn.Conv2d(in_channels, width, 3, padding=1)
        self.time_embedding = TimestepEmbedding(width, features)
        self.class_embedding = nn.Embedding(classes + 1, features) if classes else None
        norms = dict(groups=norm_num_groups, eps=norm_eps)
        resnet = partial(ResnetBlock, features=features, dropout=dropout, **norms)
        look = partial(attentions, context=context, head_dim=attention_head_dim, **norms)
        downsample = partial(Downsample, padding=downsample_padding)
        put(self, tuple(block_out_channels), layers_per_block, attention_levels, resnet, look, downsample)
        self.conv_norm_out = nn.GroupNorm(norm_num_groups, width, norm_eps)
        self.conv_out = zeroed(nn.Conv2d(width, out_channels, 3, padding=1))

    def __call__(self, x, time, label=None, context=None):
        check_images(self, x)
        check_conditions(self, x, time, label, context)
        emb = self.time_embedding(sinusoidal(time.astype(x.dtype), **self.waves))
        if label is not None:
            emb = emb + self.class_embedding(label)
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            x, left = block(x, emb, context)
            skips += left
        x = self.mid_block(x, emb, context)
        for block in self.up_blocks:
            x = block(x, emb, context, skips)
        return self.conv_out(jax.nn.silu(self.conv_norm_out(x)))


def put(net, widths, layers, attends, resnet, look, downsample):
    """The blocks of all levels; `attends` are the levels with attention."""
    downs, ups = ways(widths, layers)
    at = lambda i, count: look(widths[i], count if i in attends else 0)
    shrink = [[downsample(width)] for width in widths[:-1]] + [[]]
    grow = [[]] + [[Upsample(width)] for width in widths[1:]]
    levels = range(len(widths))
    net.down_blocks = nn.ModuleList([DownBlock(downs[i], resnet, at(i, layers), shrink[i]) for i in levels])
    net.mid_block = MidBlock(widths[-1], resnet, look(widths[-1], 1))
    net.up_blocks = nn.ModuleList([UpBlock(ups[i], resnet, at(i, layers + 1), grow[i]) for i in levels[::-1]])


def ways(widths, layers):
    """Of each level the (input, output) channels of its layers, on the way down and on the way up."""
    skips, x, downs, ups = [widths[0]], widths[0], [], []
    for i, width in enumerate(widths):
        downs.append([(x, width)] + [(width, width)] * (layers - 1))
        skips += [width] * (layers + (i < len(widths) - 1))
        x = width
    for width in widths[::-1]:
        ups.append([(n + skips.pop(), width) for n in [x] + [width] * layers])
        x = width
    return downs, ups[::-1]


def check(size, widths, groups, head):
    if any(width % groups or width % (head or width) for width in widths):
        told = f"norm_num_groups={groups} and of attention_head_dim={head}"
        raise UserError(f"UNet: expected block_out_channels that are multiples of {told}, got {tuple(widths)}.")
    if size < 2 ** (len(widths) - 1):
        raise UserError(f"UNet: images of {size} pixels cannot be halved {len(widths) - 1} times. Give fewer levels.")


def build(size, channels, width, classes=0, context=0, dropout=0.0):
    """Halved down to 4 pixels, of double width from the second level on, attention in the first of 16 pixels or less,
    as for CIFAR-10 in the paper."""
    if width < 8 or width % 8:
        raise UserError(f"unet: expected a width that is a multiple of 8, the channels of a head, got {width}.")
    sides = [size]
    while sides[-1] > 4:
        sides.append(-(-sides[-1] // 2))
    widths = [width] + [2 * width] * (len(sides) - 1)
    attends = next(i for i, side in enumerate(sides) if side <= 16)
    groups = math.gcd(32, width // 4)  # 32 of the paper's width
    return UNet(size, channels, channels, widths, 2, (attends,), groups, classes, dropout, context)
