"""What the networks share: the refusal of what does not fit."""

from jaxgen.errors import UserError


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
