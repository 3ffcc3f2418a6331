"""What the networks share: attention of several heads, layers that begin at zero, the refusal of what does not fit."""

from torch import nn
from torch.nn import functional as F


def attend(query, key, value, heads):
    """query (N, L, E), key and value (N, S, E) -> (N, L, E)."""
    split = lambda x: x.unflatten(2, (heads, -1)).transpose(1, 2)
    y = F.scaled_dot_product_attention(split(query), split(key), split(value))
    return y.transpose(1, 2).flatten(2)


def zeroed(layer):
    """Zeros as initial values: what the layer adds, it adds only once it has learned something."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def check_images(net, x):
    if x.ndim != 4 or x.shape[1:] != (net.channels, net.size, net.size):
        told = f"expected images (N, {net.channels}, {net.size}, {net.size}), got {tuple(x.shape)}"
        raise ValueError(f"{type(net).__name__}: {told}. Resize them, or build the net for them.")


def check_conditions(net, x, time, label, context):
    """One time for each image; labels and context where the net was built for them, and only there."""
    name, rows = type(net).__name__, x.shape[0]
    if time.shape != (rows,):
        raise ValueError(f"{name}: expected times ({rows},), one for each image, got {tuple(time.shape)}.")
    for what, given, option in (("label", label, "classes"), ("context", context, "context")):
        built = getattr(net, option)
        if given is None and built:
            raise ValueError(f"{name}: expected {what}, got none. Give it, or build the net without {option}.")
        if given is not None and not built:
            raise ValueError(f"{name}: expected no {what}, got one. Leave it out, or build the net with {option}.")
    if label is not None and label.shape != (rows,):
        raise ValueError(f"{name}: expected label ({rows},), one for each image, got {tuple(label.shape)}.")
    if context is not None and not (context.ndim == 3 and context.shape[::2] == (rows, net.context)):
        raise ValueError(f"{name}: expected context ({rows}, tokens, {net.context}), got {tuple(context.shape)}.")
