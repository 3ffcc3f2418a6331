"""The diffusion transformer of Peebles & Xie (2023), with adaLN-Zero; attention to a context is ours."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from jaxgen import nn
from jaxgen.backbones.embeddings import places, sinusoidal
from jaxgen.backbones.parts import attend, check_conditions, check_images, zeroed
from jaxgen.errors import UserError


class Attention(nnx.Module):
    """x (N, L, width) looks at seen (N, S, features), which may be x."""

    def __init__(self, width, heads, features):
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(features, width)
        self.value = nn.Linear(features, width)
        self.out = nn.Linear(width, width)

    def __call__(self, x, seen):
        return self.out(attend(self.query(x), self.key(seen), self.value(seen), self.heads))


class Block(nnx.Module):
    """x (N, L, width), emb (N, width) -> (N, L, width): x itself, before anything is learned."""

    def __init__(self, width, heads, context, dropout):
        self.norm = nn.LayerNorm(width, 1e-6, elementwise_affine=False)
        self.modulation = zeroed(nn.Linear(width, 6 * width))
        self.attention = Attention(width, heads, width)
        self.cross = Attention(width, heads, context) if context else None
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            nn.Linear(4 * width, width),
        )
        if context:
            zeroed(self.cross.out)

    def __call__(self, x, emb, context):
        told = self.modulation(jax.nn.silu(emb))[:, None]
        shift_1, scale_1, gate_1, shift_2, scale_2, gate_2 = jnp.split(told, 6, -1)
        h = modulated(self.norm(x), shift_1, scale_1)
        x = nn.added(x, gate_1 * nn.full(self.attention(h, h)))
        if context is not None:
            x = x + self.cross(self.norm(x), context)
        return nn.added(x, gate_2 * nn.full(self.mlp(modulated(self.norm(x), shift_2, scale_2))))


def modulated(x, shift, scale):
    return nn.added(x, nn.full(x) * scale + shift)


class DiT(nnx.Module):
    """x (N, size, size, channels), time (N,), label (N,), context (N, tokens, context) -> (N, size, size, channels)."""

    def __init__(self, size, channels, width, depth=6, heads=1, patch=2, classes=0, context=0, dropout=0.0):
        check(size, width, heads, patch)
        self.size, self.channels, self.classes, self.context = size, channels, classes, context
        self.width, self.patch, self.side = width, patch, size // patch
        self.patchify = nn.Conv2d(channels, width, patch, patch)
        self.time_mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.class_embedding = nn.Embedding(classes + 1, width) if classes else None
        self.blocks = nn.ModuleList([Block(width, heads, context, dropout) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, 1e-6, elementwise_affine=False)
        self.modulation = zeroed(nn.Linear(width, 2 * width))
        self.final = zeroed(nn.Linear(width, patch * patch * channels))

    def __call__(self, x, time, label=None, context=None):
        check_images(self, x)
        check_conditions(self, x, time, label, context)
        emb = self.time_mlp(sinusoidal(time.astype(x.dtype), 256))
        if label is not None:
            emb = emb + self.class_embedding(label)
        tokens = self.patchify(x).reshape(x.shape[0], -1, self.width)
        h = tokens + places(self.side, self.width, x)
        for block in self.blocks:
            h = block(h, emb, context)
        shift, scale = jnp.split(self.modulation(jax.nn.silu(emb))[:, None], 2, -1)
        h = self.final(modulated(self.norm(h), shift, scale))
        patches = h.reshape(-1, self.side, self.side, self.patch, self.patch, self.channels)
        return patches.transpose(0, 1, 3, 2, 4, 5).reshape(x.shape)


def check(size, width, heads, patch):
    if size < patch or size % patch:
        raise UserError(f"DiT: expected a size that is a multiple of the patches' {patch} pixels, got {size}.")
    if width < 4 or width % 4 or width % heads:
        raise UserError(f"DiT: expected a width that is a multiple of 4 and of the {heads} heads, got {width}.")


def build(size, channels, width, classes=0, context=0, dropout=0.0):
    heads = width // math.gcd(width, 32)
    return DiT(size, channels, width, heads=heads, classes=classes, context=context, dropout=dropout)
