"""Linear, convolution, transposed convolution and embedding, with torch.nn's arguments, keys, layouts and initial
distributions. Images are (N, H, W, C); kernels keep torch's layout."""

import math

import jax.numpy as jnp
from flax import nnx

from jaxgen.nn.arrays import fan_in, normal, uniform
from jaxgen.nn.autocast import added, half
from jaxgen.nn.convolutions import How, conv, conv_input


def pair(value):
    """torch's habit: one number stands for height and width."""
    return (value, value) if isinstance(value, int) else tuple(value)


class Linear(nnx.Module):
    """(..., in_features) -> (..., out_features)."""

    compute = None

    def __init__(self, in_features, out_features, bias=True):
        self.weight = fan_in(out_features, in_features)
        self.bias = uniform(1 / math.sqrt(in_features), out_features) if bias else None
        self.features = in_features

    def __call__(self, x):
        if x.shape[-1:] != (self.features,):
            raise ValueError(f"Linear: expected (..., {self.features}), got {x.shape}")
        x, weight = half(self, x, self.weight[...])
        return shifted(self, x @ weight.T)


class Conv2d(nnx.Module):
    """(N, H, W, in_channels) -> (N, h, w, out_channels), h = (H + 2 padding - dilation (k - 1) - 1) // stride + 1.

    `kernel_size`, `stride`, `padding` and `dilation` are a number or a pair (height, width)."""

    compute = None

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True):
        check_groups(self, in_channels, out_channels, groups)
        self.weight = fan_in(out_channels, in_channels // groups, *pair(kernel_size))
        self.bias = uniform(row_bound(self.weight), out_channels) if bias else None
        self.channels, self.how = in_channels, How(pair(stride), pair(padding), pair(dilation), groups)
        self.reach = tuple(d * (k - 1) + 1 for d, k in zip(self.how.dilation, pair(kernel_size), strict=True))

    def __call__(self, x):
        check_image(self, x, self.channels)
        lengths = zip(x.shape[1:3], self.how.padding, self.reach, strict=True)
        check_size(self, x, [length + 2 * p - reach + 1 for length, p, reach in lengths])
        return shifted(self, conv(*half(self, x, self.weight[...]), self.how))


class ConvTranspose2d(nnx.Module):
    """(N, H, W, in_channels) -> (N, h, w, out_channels), h = (H - 1) stride - 2 padding + dilation (k - 1) +
    output_padding + 1."""

    compute = None

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True,
        dilation=1,
    ):  # fmt: skip
        check_groups(self, in_channels, out_channels, groups)
        kernel, stride, dilation, extra = pair(kernel_size), pair(stride), pair(dilation), pair(output_padding)
        if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
            raise ValueError(
                f"ConvTranspose2d: output_padding {extra} must be smaller than stride {stride} or dilation {dilation}"
            )
        self.weight = fan_in(in_channels, out_channels // groups, *kernel)
        self.bias = uniform(row_bound(self.weight), out_channels) if bias else None
        self.channels, self.how = in_channels, How(stride, pair(padding), dilation, groups)
        self.grow = tuple(d * (k - 1) + e + 1 for d, k, e in zip(dilation, kernel, extra, strict=True))

    def __call__(self, x):
        check_image(self, x, self.channels)
        lengths = zip(x.shape[1:3], self.how.stride, self.how.padding, self.grow, strict=True)
        size = tuple((length - 1) * s - 2 * p + grow for length, s, p, grow in lengths)
        check_size(self, x, size)
        return shifted(self, conv_input(*half(self, x, self.weight[...]), self.how, size))


class Embedding(nnx.Module):
    """(...) integers in [0, num_embeddings) -> (..., embedding_dim), never narrowed, as under torch.autocast. An index
    out of range gives NaN: JAX cannot raise inside a compiled step, so integers are checked where a batch comes in."""

    def __init__(self, num_embeddings, embedding_dim):
        self.weight, self.length = normal(0.0, 1.0, num_embeddings, embedding_dim), num_embeddings

    def __call__(self, x):
        # a negative index would count from the end
        return jnp.take(self.weight[...], jnp.where(x < 0, self.length, x), axis=0, mode="fill")


def shifted(layer, y):
    """With its bias."""
    return y if layer.bias is None else added(y, layer.bias)


def row_bound(weight):
    """The bound of the bias: one over the root of a weight row's size."""
    return 1 / math.sqrt(math.prod(weight.get_value().shape[1:]))


def check_groups(layer, in_channels, out_channels, groups):
    if in_channels % groups or out_channels % groups:
        channels = f"{in_channels} input and {out_channels} output channels"
        raise ValueError(f"{type(layer).__name__}: {channels} must be multiples of groups={groups}")


def check_image(layer, x, channels="C"):
    if x.ndim != 4 or channels not in ("C", x.shape[-1]):
        raise ValueError(f"{type(layer).__name__}: expected (N, H, W, {channels}), got {x.shape}")


def check_size(layer, x, size):
    """JAX would go on with an empty image."""
    if min(size) < 1:
        raise ValueError(f"{type(layer).__name__}: images of {x.shape[1:3]} are too small for its kernel and padding")
