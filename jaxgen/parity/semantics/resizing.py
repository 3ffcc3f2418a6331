"""Resizing"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import nn
from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, off
from jaxgen.parity.semantics.sides import nchw, nhwc, normal, ours, quick

torch = needs("torch", "verify")


def _torch(x, size=None, **how):
    return nhwc(torch.nn.functional.interpolate(nchw(x), size, **how))


def _resize(x, size, method, **how):
    return quick(lambda x: jax.image.resize(x, (x.shape[0], *size, x.shape[3]), method, **how), x)


def _warp(x, size, scale, translation, method):
    shape = x.shape[0], *size, x.shape[3]
    how = {"method": method, "antialias": False}
    return quick(lambda x: jax.image.scale_and_translate(x, shape, (1, 2), scale, translation, **how), x)


def _aligned(x, size, method):
    with np.errstate(divide="ignore"):
        scale = np.subtract(size, 1) / np.subtract(x.shape[1:3], 1)
    return _warp(x, size, scale, 0.5 * (1 - scale), method)


def bilinear_smaller():
    """Interpolate, bilinear, to a smaller size
    torch: antialias=False
    jax: jax.image.resize has antialias=True
    do: antialias=False, or jaxgen.nn.Upsample
    """
    x, size = normal(1, 8, 9, 2), (5, 4)
    want, mine = _torch(x, size, mode="bilinear"), ours(nn.Upsample(size, mode="bilinear"), {}, x)[0]
    naive, mapped = _resize(x, size, "bilinear"), _resize(x, size, "bilinear", antialias=False)
    return Differs(off(want, naive), off(want, mapped, *mine))


def bilinear_larger():
    """Interpolate, bilinear: where the default is right
    torch: to a larger size; or to a smaller one with antialias=True
    jax: jax.image.resize does the same
    do: nothing
    """
    x, larger, smaller = normal(1, 8, 9, 2), (12, 13), (5, 4)
    grown = off(_torch(x, larger, mode="bilinear"), _resize(x, larger, "bilinear"))
    return Agrees(grown + off(_torch(x, smaller, mode="bilinear", antialias=True), _resize(x, smaller, "bilinear")))


def align_corners():
    """Interpolate, bilinear or bicubic, align_corners=True
    torch: corner pixels stay where they are
    jax: jax.image.resize has no such argument
    do: jax.image.scale_and_translate(x, shape, (1, 2), scale, (1 - scale) / 2, method, antialias=False),
    scale = (out - 1) / (in - 1), method "linear" or "cubic-pytorch"; or jaxgen.nn.Upsample (bilinear)
    """
    x, size, naive, mapped = normal(1, 5, 8, 2), (9, 4), [], []  # larger and smaller
    for mode, method in (("bicubic", "cubic-pytorch"), ("bilinear", "linear")):
        want = _torch(x, size, mode=mode, align_corners=True)
        naive += off(want, _resize(x, size, method, antialias=False))
        mapped += off(want, _aligned(x, size, method))
    return Differs(naive, mapped + off(want, *_mine(x, size)))


def _mine(x, size):
    return ours(nn.Upsample(size, mode="bilinear", align_corners=True), {}, x)[0]


def align_corners_of_one():
    """Interpolate, align_corners=True, from or to a length of 1
    torch: to 1: the first pixel; from 1: that pixel everywhere
    jax: (out - 1) / (in - 1) is 0 or divides by 0
    do: x[:, :1], or jnp.repeat(x, out, 1), before the other axis; or jaxgen.nn.Upsample
    """
    wide, thin, naive, mapped = normal(1, 5, 8, 2), normal(1, 1, 8, 2), [], []
    for x, size, right in ((wide, (1, 8), wide[:, :1]), (thin, (4, 8), thin.repeat(4, 1))):
        want = _torch(x, size, mode="bilinear", align_corners=True)
        naive += off(want, _aligned(x, size, "linear"))
        mapped += off(want, right, *_mine(x, size))
    return Differs(naive, mapped)


def bicubic():
    """Interpolate, bicubic
    torch: a = -0.75
    jax: "cubic" has a = -0.5, and antialias=True
    do: method="cubic-pytorch", antialias=False
    """
    x, size = normal(1, 8, 9, 2), (13, 4)
    want = _torch(x, size, mode="bicubic")
    naive = _resize(x, size, "cubic"), _resize(x, size, "cubic", antialias=False)
    return Differs(off(want, *naive), off(want, _resize(x, size, "cubic-pytorch", antialias=False)))


def bicubic_antialias():
    """Interpolate, bicubic, antialias=True
    torch: a = -0.5 then
    jax: jax.image.resize(x, shape, "cubic") does the same
    do: nothing
    """
    x, size = normal(1, 8, 9, 2), (5, 4)
    return Agrees(off(_torch(x, size, mode="bicubic", antialias=True), _resize(x, size, "cubic")))


def nearest():
    """Interpolate, nearest, not by a whole factor
    torch: reads pixel floor(i in / out)
    jax: "nearest" reads the pixel under the middle
    do: x[:, np.arange(out) * in // out], or jaxgen.nn.Upsample
    """
    x, naive, mapped = normal(1, 5, 8, 2), [], []
    for size in ((7, 11), (3, 5)):
        want = _torch(x, size, mode="nearest")
        rows, columns = (np.arange(out) * n // out for n, out in zip(x.shape[1:3], size, strict=True))
        naive += off(want, _resize(x, size, "nearest"))
        mapped += off(want, x[:, rows][:, :, columns], *ours(nn.Upsample(size), {}, x)[0])
    return Differs(naive, mapped)


def nearest_where_right():
    """Interpolate, nearest: where JAX's is right
    torch: by a whole factor; mode "nearest-exact" by any
    jax: jax.image.resize(x, shape, "nearest") does the same
    do: nothing
    """
    x, whole, odd = normal(1, 5, 8, 2), (10, 24), (7, 5)
    doubled = off(_torch(x, whole, mode="nearest"), _resize(x, whole, "nearest"))
    return Agrees(doubled + off(_torch(x, odd, mode="nearest-exact"), _resize(x, odd, "nearest")))


def scale_factor():
    """Interpolate, scale_factor=1.5 of an odd size
    torch: samples by 1.5 though 7 pixels become 10, unless recompute_scale_factor=True
    jax: jax.image.resize knows sizes only: 10 / 7
    do: jax.image.scale_and_translate(x, shape, (1, 2), (1.5, 1.5), (0, 0), "linear", antialias=False);
    or jaxgen.nn.Upsample(scale_factor=1.5)
    """
    x, size, scale = normal(1, 7, 7, 2), (10, 10), np.array([1.5, 1.5])
    want = _torch(x, mode="bilinear", scale_factor=1.5)
    naive, mapped = _resize(x, size, "bilinear", antialias=False), _warp(x, size, scale, np.zeros(2), "linear")
    mine = ours(nn.Upsample(scale_factor=1.5, mode="bilinear"), {}, x)[0]
    again = _torch(x, mode="bilinear", scale_factor=1.5, recompute_scale_factor=True)
    return Differs(off(want, naive), off(want, mapped, *mine) + off(again, naive))


def pad():
    """F.pad, reflect or replicate
    torch: modes "reflect", "replicate"
    jax: jnp.pad with "reflect", "edge" does the same
    do: nothing
    """
    x, errors = normal(1, 5, 6, 2), []
    for theirs, mode in (("reflect", "reflect"), ("replicate", "edge")):
        want = nhwc(torch.nn.functional.pad(nchw(x), (1, 2, 3, 0), mode=theirs))
        errors += off(want, jnp.pad(x, ((0, 0), (3, 0), (1, 2), (0, 0)), mode=mode))
    return Agrees(errors)
