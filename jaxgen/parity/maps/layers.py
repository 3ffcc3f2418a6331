"""Layers that hold tensors, alike for PyTorch, Flax NNX and Flax Linen: where they are, and of which kind."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxgen.errors import UserError

KINDS = {
    "linear": ("Linear", "Dense", "LinearGeneral", "DenseGeneral"),
    "conv": ("Conv", "Conv1d", "Conv2d", "Conv3d"),
    "conv_transpose": ("ConvTranspose", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
    "batch_norm": ("BatchNorm", "_BatchNorm"),
    "group_norm": ("GroupNorm",),
    "instance_norm": ("InstanceNorm", "_InstanceNorm"),
    "layer_norm": ("LayerNorm",),
    "rms_norm": ("RMSNorm",),
    "embedding": ("Embed", "Embedding"),
    "attention": ("MultiHeadAttention", "MultiHeadDotProductAttention", "MultiheadAttention"),
    "prelu": ("PReLU",),
}
KIND = {name: kind for kind, names in KINDS.items() for name in names}
CHANNELS_FIRST = ("conv", "conv_transpose", "batch_norm", "group_norm", "instance_norm", "prelu")


@dataclass(eq=False)
class Layer:
    """`tensors` are {name inside the layer: (full name, shape)}; `module` is what can be called; `inner` tells whether
    layers below it have tensors too."""

    path: str
    module: Any
    kind: str = "own"
    tensors: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    inner: bool = False

    def __str__(self):
        shapes = ", ".join(f"{name} {shape}" for name, (_, shape) in self.tensors.items())
        return f"{self.path or 'the model itself'} ({type(self.module).__name__}: {shapes})"


@contextmanager
def running(side):
    """A stranger's forward may fail in any way; told in one line, with the cause behind it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]}"
        raise UserError(f"weight map: the {side} model does not run on these inputs ({told}).") from error


def kind(cls):
    """By the class of the libraries that a layer is, or descends from."""
    own = (c.__name__ for c in cls.__mro__ if c.__module__.startswith(("torch.nn.", "flax.")))
    return next((KIND[name] for name in own if name in KIND), "own")


def nested(layers: dict[str, Layer]):
    """The same, each knowing whether others lie inside it."""
    for path, layer in layers.items():
        layer.inner = any(
            other != path and other.startswith((f"{path}.", f"{path}/") if path else "") for other in layers
        )
    return layers


def channels_last(layer: Layer, x):
    """What a torch layer takes or gives, as its partner does: images (N, H, W, C), tokens (N, T, E)."""
    if layer.kind == "attention":
        return x if layer.module.batch_first or x.ndim != 3 else x.swapaxes(0, 1)
    whole = layer.kind == "layer_norm" and len(layer.module.normalized_shape) > 1
    image = x.ndim >= 3 and (layer.kind in CHANNELS_FIRST) or x.ndim == 4 and (layer.kind == "own" or whole)
    return np.moveaxis(x, 1, -1) if image else x


def as_ours(theirs: Layer, ours: Layer | None, x, given=True):
    """What a torch layer is given, or gives, as its partner has it; a LinearGeneral has features in several axes."""
    x = channels_last(theirs, x)
    kernel = ours.tensors.get("kernel", ("", ()))[1] if ours and ours.kind == theirs.kind == "linear" else ()
    if len(kernel) <= 2:
        return x
    ends = [i for i in range(1, len(kernel)) if np.prod(kernel[:i]) == theirs.module.in_features]
    return x.reshape(*x.shape[:-1], *(kernel[: ends[0]] if given else kernel[ends[0] :])) if ends else x
