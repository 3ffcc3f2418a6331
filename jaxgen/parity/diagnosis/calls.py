"""Every call of a layer in one turn of the twin: what it was given, what it held, and the gradient that came back."""

from typing import Any, NamedTuple

import torch

from jaxgen.parity import pairs, sides
from torch_ref import core


class Call(NamedTuple):
    """The `number`-th call of the layer at `path`. `buffers` are those before it, `slope` is the gradient by its output
    (None where none came), `mask` that of a Dropout."""

    path: str
    number: int
    module: Any
    training: bool
    args: tuple
    output: Any
    buffers: dict[str, Any]
    slope: Any = None
    mask: Any = None

    @property
    def kind(self):
        return type(self.module).__name__


def recorded(setting, player, given, train=True):
    """-> calls in order, of layers without layers inside them; of a stranger's pair, of those with a partner."""
    setting.give()
    twin, known = setting.twin.train(train), getattr(setting.family, "tapped", None)
    is_layer = lambda path, module: path in known if known is not None else path and not list(module.children())
    layers = {path: module for path, module in twin.named_modules() if is_layer(path, module)}
    calls: list[Call] = []
    slopes: dict[int, Any] = {}
    before: dict[str, dict] = {}
    handles = []
    for path, module in layers.items():
        handles.append(module.register_forward_pre_hook(kept_before(path, before)))
        handles.append(module.register_forward_hook(kept(path, calls, slopes, before)))
    try:
        mine = pairs.to_torch(setting.family, given)
        for x in sides.named(mine).values():
            x.requires_grad_(x.is_floating_point())  # so that a gradient reaches every layer
        core.gradients(twin, player, mine["batch"], mine["draws"])
    finally:
        for handle in handles:
            handle.remove()
    masks = mine["draws"]["masks"].get(player, {})
    mask = lambda call: masks[call.path][call.number - 1] if call.path in masks else None
    return [call._replace(slope=slopes.get(i), mask=mask(call)) for i, call in enumerate(calls)]


def kept_before(path, before):
    def hook(module, args):
        before[path] = {name: x.detach().clone() for name, x in module.named_buffers()}

    return hook


def kept(path, calls, slopes, before):
    def hook(module, args, output):
        output = output[0] if isinstance(output, tuple) else output
        number = 1 + sum(call.path == path for call in calls)
        held = tuple(x.detach().clone() for x in args if isinstance(x, torch.Tensor))
        i = len(calls)
        calls.append(Call(path, number, module, module.training, held, output.detach().clone(), before[path]))

        def note(slope):
            if slope is not None:  # as where a penalty's own gradient does not pass
                slopes[i] = slope.detach().clone()

        if output.requires_grad:
            output.register_hook(note)

    return hook
