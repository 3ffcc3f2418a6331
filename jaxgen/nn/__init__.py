"""Layers and losses that are PyTorch's to the last digit: names, arguments, defaults, keys, layouts of weights, initial
distributions, running statistics, gradients at kinks. Every numeric difference between the frameworks lives here."""

from jaxgen.nn.activations import GELU, Dropout, LeakyReLU, ReLU, Sigmoid, SiLU, Tanh, relu
from jaxgen.nn.arrays import constant, normal, uniform
from jaxgen.nn.attention import scaled_dot_product_attention
from jaxgen.nn.autocast import added, full
from jaxgen.nn.containers import Identity, ModuleList, Sequential
from jaxgen.nn.gradients import row_norm, slopes
from jaxgen.nn.linear import Conv2d, ConvTranspose2d, Embedding, Linear
from jaxgen.nn.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from jaxgen.nn.norms import BatchNorm1d, BatchNorm2d, GroupNorm, InstanceNorm2d, LayerNorm
from jaxgen.nn.spatial import AvgPool2d, Flatten, MaxPool2d, Unflatten, Upsample, flatten, interpolate, unflatten

__all__ = [
    "GELU", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "Dropout", "Embedding", "Flatten",
    "GroupNorm", "Identity", "InstanceNorm2d", "LayerNorm", "LeakyReLU", "Linear", "MaxPool2d", "ModuleList", "ReLU",
    "Sequential", "SiLU", "Sigmoid", "Tanh", "Unflatten", "Upsample", "added", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "constant", "flatten", "full", "interpolate", "l1_loss", "mse_loss", "normal",
    "relu", "row_norm", "scaled_dot_product_attention", "slopes", "smooth_l1_loss", "unflatten",
    "uniform",
]  # fmt: skip
