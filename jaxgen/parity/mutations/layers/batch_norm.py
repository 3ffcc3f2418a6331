"""Batch norms that are nearly torch's."""

from typing import TYPE_CHECKING, Any

from jaxgen import nn
from jaxgen.nn.norms import scale_and_shift, standardise
from jaxgen.parity.mutations.planting import calls

if TYPE_CHECKING:
    BatchNorm = Any  # a function declares what it has
else:
    BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def eps(layer: BatchNorm):
    """eps: 1e-3, as Keras has it."""
    layer.eps = 1e-3


def flax_momentum(layer: BatchNorm):
    """momentum: Flax's default keeps 0.99 of the old."""
    layer.momentum = 0.01


def weight_of_the_old(layer: BatchNorm):
    """momentum: torch's number where it is the weight of the old, not of the new."""
    if layer.momentum is None:
        return NotImplemented
    layer.momentum = 1 - layer.momentum


def biased_running_variance(layer: BatchNorm):
    """running variance is biased: Flax keeps the variance that it normalises with."""
    if layer.momentum is None:
        return NotImplemented

    def call(right, self, x):
        before, n = self.running_var[...], x.size // x.shape[-1]
        y = right(self, x)
        if self.training:
            var = (self.running_var[...] - before) / self.momentum + before
            self.running_var[...] = before + self.momentum * (var * (n - 1) / n - before)
        return y

    calls(layer, call)


def unbiased_variance(layer: BatchNorm):
    """normalised by the unbiased variance: x.var(ddof=1), which is the one that torch keeps."""
    if layer.weight is None:
        return NotImplemented

    def call(right, self, x):
        if not self.training:
            return right(self, x)
        n = x.size // x.shape[-1]
        smaller = (n - 1) / n
        return right(self, x, eps=self.eps * smaller, weight=self.weight[...] * smaller**0.5)

    calls(layer, call)


def batch_in_evaluation(layer: nn.BatchNorm2d):
    """batch statistics in evaluation: use_running_average=False left as it was in training."""
    calls(layer, lambda right, self, x: right(self, x, training=True))


def running_in_training(layer: BatchNorm):
    """running statistics in training: use_running_average=True left as it was in evaluation."""
    calls(layer, lambda right, self, x: right(self, x, training=False))


def each_row_by_itself(layer: nn.BatchNorm2d):
    """normalised over other axes: the model under jax.vmap, where a batch norm sees one row."""

    def call(right, self, x):
        y = right(self, x)
        return scale_and_shift(self, standardise(x, (1, 2), self.eps), 1.0) if self.training else y

    calls(layer, call)


def bias_missing(layer: BatchNorm):
    """bias missing: use_bias=False, because the convolution before has one."""
    if layer.bias is None:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, bias=0.0))


def scale_missing(layer: BatchNorm):
    """scale missing: Keras' scale=False, advised before a ReLU."""
    if layer.weight is None:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, weight=1.0))
