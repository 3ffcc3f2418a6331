"""Pooling, resizing and flattening of images (N, H, W, C), equal to torch's at every edge and in every gradient."""

from functools import cache, reduce
from itertools import product
from math import prod

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxgen.nn.autocast import full
from jaxgen.nn.linear import check_image, pair
from jaxgen.nn.sums import by_hand


def windows(pool, x, fill):
    """The values under each place of the kernel, one strided slice a place: kh * kw arrays (N, h, w, C)."""
    check_image(pool, x)
    name, (kernel, stride, padding, dilation) = type(pool).__name__, pool.how
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{name}: padding {padding} must be at most half of the kernel {kernel}")
    x = jnp.pad(x, ((0, 0), *((p, p) for p in padding), (0, 0)), constant_values=fill)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    stop = [(x.shape[1 + i] - reach[i] - 1) // stride[i] * stride[i] + 1 for i in (0, 1)]
    if min(stop) < 1:
        raise ValueError(f"{name}: a kernel of {kernel} does not fit into images of {x.shape[1:3]}, padding included")
    starts = product(*(range(0, d * k, d) for d, k in zip(dilation, kernel, strict=True)))
    return [x[:, i : i + stop[0] : stride[0], j : j + stop[1] : stride[1]] for i, j in starts]


class MaxPool2d(nnx.Module):
    """The largest value under the kernel. Of equal ones the first gets the gradient, and NaN wins, as in torch."""

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1):
        stride = kernel_size if stride is None else stride
        self.how = pair(kernel_size), pair(stride), pair(padding), pair(dilation)

    def __call__(self, x):
        later = lambda best, value: jnp.where((value > best) | jnp.isnan(value), value, best)
        return reduce(later, windows(self, x, -jnp.inf))


class AvgPool2d(nnx.Module):
    """The mean under the kernel; the padding counts as zeros unless `count_include_pad` is False."""

    def __init__(self, kernel_size, stride=None, padding=0, *, count_include_pad=True):
        stride = kernel_size if stride is None else stride
        self.how, self.count_include_pad = (pair(kernel_size), pair(stride), pair(padding), (1, 1)), count_include_pad

    def __call__(self, x):
        places = lambda x: sum(windows(self, full(x), 0))
        inside = self.how[0][0] * self.how[0][1]
        count = inside if self.count_include_pad else places(jnp.ones((1, *x.shape[1:3], 1), x.dtype))
        return (places(x) / count).astype(x.dtype)


class Upsample(nnx.Module):
    """Images resized to `size`, or by `scale_factor`: `nearest` or `bilinear`, torch's coordinates, no antialiasing."""

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None):
        check_resize("Upsample", size, scale_factor, mode, align_corners)
        self.size, self.scale = size and pair(size), scale_factor
        self.mode, self.align_corners = mode, bool(align_corners)

    def __call__(self, x):
        return interpolate(x, self.size, self.scale, self.mode, self.align_corners or None)


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """What `Upsample` does, for a size that is known only with the images."""
    check_resize("interpolate", size, scale_factor, mode, align_corners)
    if x.ndim != 4:
        raise ValueError(f"interpolate: expected (N, H, W, C), got {x.shape}")
    scales = scale_factor if isinstance(scale_factor, tuple) else (scale_factor,) * 2
    size = pair(size) if size else tuple(int(np.floor(n * s)) for n, s in zip(x.shape[1:3], scales, strict=True))
    if min(size) < 1:
        raise ValueError(f"interpolate: images of {x.shape[1:3]} would become {size}")
    axes = list(zip(x.shape[1:3], size, scales, strict=True))
    if mode == "nearest":
        rows, columns = (nearest(*each) for each in axes)
        return x[:, rows][:, :, columns]
    rows, columns = (jnp.asarray(bilinear(*each, bool(align_corners)), full(x).dtype) for each in axes)
    # torch mixes pixels in float32, whatever its products are in
    return resampled(full(x), rows, columns).astype(x.dtype)


def resampled(x, rows, columns):
    """x (N, h, w, C), mixed by (H, h) and (W, w) -> (N, H, W, C). On a CPU a product for each image, and then for each
    row, as one for all of them needs x transposed."""
    if not by_hand():
        return jnp.einsum("ih,nhwc,jw->nijc", rows, x, columns, precision="highest")
    mixed = lambda m, y: jnp.matmul(jnp.broadcast_to(m, (len(y), *m.shape)), y, precision="highest")
    high = mixed(rows, x.reshape(*x.shape[:2], -1))
    return mixed(columns, high.reshape(-1, *x.shape[2:])).reshape(len(x), len(rows), len(columns), -1)


def check_resize(name, size, scale_factor, mode, align_corners):
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{name}: give either size or scale_factor")
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"{name}: mode {mode!r} is neither 'nearest' nor 'bilinear'")
    if mode == "nearest" and align_corners is not None:
        raise ValueError(f"{name}: align_corners is for mode='bilinear' alone")


def nearest(length, size, scale):
    """Where each output place reads: floor(i / scale). torch computes it in float32."""
    step = np.float32(1 / scale) if scale else np.float32(length) / np.float32(size)
    return np.minimum(np.floor(np.arange(size, dtype=np.float32) * step).astype(int), length - 1)


@cache
def bilinear(length, size, scale, align_corners):
    """(size, length): the weights with which each output place reads the input."""
    places = np.arange(size)
    if align_corners:
        source = places * ((length - 1) / (size - 1) if size > 1 else 0.0)
    else:
        source = np.maximum((places + 0.5) * (1 / scale if scale else length / size) - 0.5, 0)
    low = np.minimum(np.floor(source).astype(int), length - 1)
    part = np.clip(source - low, 0, 1)
    eye = np.eye(length)
    return (1 - part)[:, None] * eye[low] + part[:, None] * eye[np.minimum(low + 1, length - 1)]


def flatten(x):
    """(N, H, W, C) -> (N, C H W), in torch's order."""
    return jnp.moveaxis(x, -1, 1).reshape(x.shape[0], -1)


def unflatten(x, size):
    """(N, C H W) -> (N, H, W, C); `size` is (C, H, W) as in torch."""
    if x.shape[1:] != (prod(size),):
        raise ValueError(f"Unflatten: expected (N, {prod(size)}) for images {size}, got {x.shape}")
    return jnp.moveaxis(x.reshape(x.shape[0], *size), 1, -1)


class Flatten(nnx.Module):
    """(N, H, W, C) -> (N, C H W), in torch's order."""

    def __call__(self, x):
        return flatten(x)


class Unflatten(nnx.Module):
    """(N, C H W) -> (N, H, W, C), written as torch's Unflatten(1, (C, H, W))."""

    def __init__(self, dim, unflattened_size):
        if dim != 1:
            raise ValueError(f"Unflatten: expected dim 1, got {dim}")
        self.size = tuple(unflattened_size)

    def __call__(self, x):
        return unflatten(x, self.size)
