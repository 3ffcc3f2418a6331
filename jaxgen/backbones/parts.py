"""What the networks share: attention of several heads, layers that begin at zero, the refusal of what does not fit."""

from jaxgen import nn
from jaxgen.errors import UserError


def attend(query, key, value, heads):
    """query (N, L, E), key and value (N, S, E) -> (N, L, E)."""
    split = lambda x: x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)
    y = nn.scaled_dot_product_attention(split(query), split(key), split(value))
    return y.swapaxes(1, 2).reshape(query.shape)


def zeroed(layer):
    """Zeros as initial values: what the layer adds, it adds only once it has learned something."""
    layer.weight = nn.constant(0.0, *layer.weight.get_value().shape)
    layer.bias = nn.constant(0.0, *layer.bias.get_value().shape)
    return layer


def check_images(net, x):
    if x.ndim != 4 or x.shape[1:] != (net.size, net.size, net.channels):
        told = f"expected images (N, {net.size}, {net.size}, {net.channels}), got {x.shape}"
        raise UserError(f"{type(net).__name__}: {told}. Resize them, or build the net for them.")


def check_conditions(net, x, time, label, context):
    """One time for each image; labels and context where the net was built for them, and only there."""
    name, rows = type(net).__name__, x.shape[0]
    if time.shape != (rows,):
        raise UserError(f"{name}: expected times ({rows},), one for each image, got {time.shape}.")
    for what, given, option in (("label", label, "classes"), ("context", context, "context")):
        built = getattr(net, option)
        if given is None and built:
            raise UserError(f"{name}: expected {what}, got none. Give it, or build the net without {option}.")
        if given is not None and not built:
            raise UserError(f"{name}: expected no {what}, got one. Leave it out, or build the net with {option}.")
    if label is not None and label.shape != (rows,):
        raise UserError(f"{name}: expected label ({rows},), one for each image, got {label.shape}.")
    if context is not None and not (context.ndim == 3 and context.shape[::2] == (rows, net.context)):
        raise UserError(f"{name}: expected context ({rows}, tokens, {net.context}), got {context.shape}.")
