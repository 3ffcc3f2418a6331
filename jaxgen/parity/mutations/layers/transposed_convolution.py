"""Transposed convolutions that are nearly torch's."""

from jaxgen import nn
from jaxgen.parity.mutations.planting import calls


def not_flipped(layer: nn.ConvTranspose2d):
    """kernel not flipped: Flax's transpose_kernel=False."""
    if max(layer.weight.get_value().shape[2:]) == 1:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, weight=self.weight[...][:, :, ::-1, ::-1]))


def turned(layer: nn.ConvTranspose2d):
    """kernel height and width exchanged: transpose(3, 2, 1, 0), the full reversal of the axes."""
    height, width = layer.weight.get_value().shape[2:]
    if not height == width > 1:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, weight=self.weight[...].swapaxes(2, 3)))


def channels_exchanged(layer: nn.ConvTranspose2d):
    """channels exchanged: the kernel laid out as that of a convolution, of the right shape if it is square."""
    rows, columns = layer.weight.get_value().shape[:2]
    if rows != columns or rows == 1:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, weight=self.weight[...].swapaxes(0, 1)))


def output_padding_before(layer: nn.ConvTranspose2d):
    """output padding on the other side: padding 'SAME' with kernel 3, stride 2; of the right shape."""
    how, kernel = layer.how, layer.weight.get_value().shape[2:]
    reach = tuple(d * (k - 1) + 1 for d, k in zip(how.dilation, kernel, strict=True))
    extra = tuple(grow - each for grow, each in zip(layer.grow, reach, strict=True))
    first = tuple(p - e for p, e in zip(how.padding, extra, strict=True))
    if not any(extra) or min(first) < 0:
        return NotImplemented

    def call(right, self, x):
        rows, columns = right(self, x[:1]).shape[1:3]
        whole = right(self, x, how=how._replace(padding=(0, 0)), grow=reach)
        return whole[:, first[0] : first[0] + rows, first[1] : first[1] + columns]

    calls(layer, call)


def bias_missing(layer: nn.ConvTranspose2d):
    """bias missing: use_bias=False copied from a layer before a batch norm."""
    if layer.bias is None:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, bias=None))
