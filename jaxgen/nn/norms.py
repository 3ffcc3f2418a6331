"""Normalisation with torch.nn's defaults and running statistics; channels stand last. All variances take two passes:
E[x^2] - E[x]^2 loses everything in float32 when the mean is large. Half precision is normalised in float32."""

import jax.numpy as jnp
from flax import nnx
from jax.lax import rsqrt, stop_gradient

from jaxgen import axis
from jaxgen.nn.arrays import constant
from jaxgen.nn.autocast import full
from jaxgen.nn.linear import check_image
from jaxgen.nn.sums import average, by_hand, group_normalised, scaled


def declare(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
    """The arrays of a batch norm. `momentum` is the weight of the new batch; None averages all batches so far."""
    self.weight = constant(1.0, num_features) if affine else None
    self.bias = constant(0.0, num_features) if affine else None
    if track_running_stats:
        self.running_mean = constant(0.0, num_features, kind=nnx.BatchStat)
        self.running_var = constant(1.0, num_features, kind=nnx.BatchStat)
        self.num_batches_tracked = constant(0, kind=nnx.BatchStat, dtype=jnp.int32)
    self.features, self.eps, self.momentum, self.tracks = num_features, eps, momentum, track_running_stats


def batch_norm(layer, x, ranks):
    """Normalised by the global batch in training, else by the running statistics; rows are all axes but the last."""
    if x.ndim not in ranks or x.shape[-1] != layer.features:
        shapes = " or ".join(f"(N, {'..., ' * (rank > 2)}{layer.features}), {rank} axes" for rank in ranks)
        raise ValueError(f"{type(layer).__name__}: expected {shapes}, got {x.shape}")
    rows = full(x).reshape(-1, layer.features)
    if layer.training or not layer.tracks:
        centred, var = from_batch(layer, rows)
    else:
        centred, var = rows - layer.running_mean, layer.running_var[...]
    return scale_and_shift(layer, centred, rsqrt(var + layer.eps)).reshape(x.shape).astype(x.dtype)


def from_batch(layer, rows):
    """-> centred rows, biased variance; moves the running statistics."""
    n = rows.shape[0] * axis.size()
    if n == 1:
        name = type(layer).__name__
        raise ValueError(f"{name}: expected more than 1 value per channel in training, got rows {rows.shape}")
    mean = axis.mean(average(rows))
    centred = rows - mean
    var = axis.mean(average(centred**2))
    if layer.training and layer.tracks:
        layer.num_batches_tracked[...] += 1
        momentum = 1 / layer.num_batches_tracked.astype(mean.dtype) if layer.momentum is None else layer.momentum
        layer.running_mean[...] += momentum * (mean - layer.running_mean)
        # torch stores the unbiased variance and normalises with the biased one
        layer.running_var[...] += momentum * (var * n / (n - 1) - layer.running_var)
    return centred, var


def scale_and_shift(layer, centred, inverse):
    """The scale joins the inverse deviation first: one product a value instead of two."""
    if layer.weight is None:
        return centred * inverse
    scale, shift = inverse * layer.weight, layer.bias + jnp.zeros_like(inverse)
    return scaled(centred, scale, shift) if by_hand() else centred * scale + shift


class BatchNorm1d(nnx.Module):
    """(N, C) or (N, L, C) (torch: (N, C, L))."""

    training = True
    __init__ = declare

    def __call__(self, x):
        return batch_norm(self, x, ranks=(2, 3))


class BatchNorm2d(nnx.Module):
    """(N, H, W, C)."""

    training = True
    __init__ = declare

    def __call__(self, x):
        return batch_norm(self, x, ranks=(4,))


class GroupNorm(nnx.Module):
    """(N, ..., C), each sample's channels in `num_groups` contiguous groups."""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True):
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: {num_channels} channels must be a multiple of {num_groups} groups")
        self.weight = constant(1.0, num_channels) if affine else None
        self.bias = constant(0.0, num_channels) if affine else None
        self.groups, self.channels, self.eps = num_groups, num_channels, eps

    def __call__(self, x):
        if x.ndim < 2 or x.shape[-1] != self.channels:
            raise ValueError(f"GroupNorm: expected (N, ..., {self.channels}), got {x.shape}")
        if x.size == self.groups:  # torch's condition
            raise ValueError(f"GroupNorm: expected more than 1 value per group, got {x.shape}, {self.groups} groups")
        return group_norm(full(x), self.weight, self.bias, self.groups, self.eps).astype(x.dtype)


class InstanceNorm2d(nnx.Module):
    """(N, H, W, C), each channel of each sample by itself. torch's defaults: nothing learned, nothing tracked."""

    def __init__(self, num_features, eps=1e-5, *, affine=False):
        self.weight = constant(1.0, num_features) if affine else None
        self.bias = constant(0.0, num_features) if affine else None
        self.channels, self.eps = num_features, eps

    def __call__(self, x):
        check_image(self, x, self.channels)
        if x.shape[1] * x.shape[2] == 1:
            raise ValueError(f"InstanceNorm2d: expected more than 1 spatial value per channel, got {x.shape}")
        y = standardise(full(x), (1, 2), self.eps)
        return (y if self.weight is None else y * self.weight + self.bias).astype(x.dtype)


class LayerNorm(nnx.Module):
    """Over the last axis, or, with three sizes (C, H, W) as torch counts them, over whole images (N, H, W, C)."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        if len(shape) not in (1, 3):
            raise ValueError(f"LayerNorm: expected one size, or three (C, H, W), got {shape}")
        self.weight = constant(1.0, *shape) if elementwise_affine else None
        self.bias = constant(0.0, *shape) if elementwise_affine and bias else None
        self.shape, self.eps = shape, eps

    def __call__(self, x):
        last = self.shape if len(self.shape) == 1 else (*self.shape[1:], self.shape[0])
        if x.shape[-len(last) :] != last:
            raise ValueError(f"LayerNorm: expected last axes {last}, got {x.shape}")
        y = standardise(full(x), tuple(range(x.ndim - len(last), x.ndim)), self.eps)
        y = y if self.weight is None else y * self.laid(self.weight)
        return (y if self.bias is None else y + self.laid(self.bias)).astype(x.dtype)

    def laid(self, array):
        """An affine array with its channels last."""
        return array[...] if len(self.shape) == 1 else jnp.moveaxis(array[...], 0, -1)


def group_norm(x, weight, bias, groups, eps):
    rows = x.reshape(x.shape[0], -1, x.shape[-1])
    if by_hand():
        zeros = jnp.zeros(x.shape[-1], x.dtype)
        scale, shift = (1 + zeros, zeros) if weight is None else (weight + zeros, bias + zeros)
        return group_normalised(rows, scale, shift, groups, eps).reshape(x.shape)
    grouped = rows.reshape(*rows.shape[:2], groups, -1)
    y = standardise(grouped, (1, 3), eps).reshape(x.shape)
    return y if weight is None else y * weight + bias


def standardise(x, axes, eps):
    """Relative to the first value of each group a float32 mean keeps its digits, however far from zero x is."""
    near = x - stop_gradient(x[tuple(slice(1 if axis in axes else None) for axis in range(x.ndim))])
    centred = near - near.mean(axes, keepdims=True)
    return centred * rsqrt((centred**2).mean(axes, keepdims=True) + eps)
