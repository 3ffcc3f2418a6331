"""What a torch layer, or an altered one, answers to a call: output, moved statistics, gradients."""

import copy

import torch

from jaxgen.parity import pairs


def respond(call, run=None, change=None, slopes=True):
    """{"output", "gradient by the input", "gradient by <weight>", "statistic <name>"}: NumPy arrays in torch's layout.

    `run(module, *args)` replaces the module's forward, `change(module)` edits a copy of it before."""
    module = copy.deepcopy(call.module).train(call.training)
    with torch.no_grad():
        for name, x in module.named_buffers():
            x.copy_(call.buffers[name])
    module.zero_grad()
    if change:
        change(module)
    args = [x.clone().requires_grad_(x.is_floating_point()) for x in call.args]
    output = (run or forward(call))(module, *args)
    output = output[0] if isinstance(output, tuple) else output
    told = {"output": output}
    if slopes and call.slope is not None and output.shape == call.slope.shape and output.requires_grad:
        output.backward(call.slope)
        told |= {"gradient by the input": args[0].grad} if args[0].grad is not None else {}
        slope = lambda x: torch.zeros_like(x) if x.grad is None else x.grad  # a weight that an altered layer ignores
        told |= {f"gradient by {name}": slope(x) for name, x in module.named_parameters()}
    told |= {f"statistic {name}": x for name, x in module.named_buffers() if x.is_floating_point()}
    return {name: pairs.array(x) for name, x in told.items()}


def turned(**turns):
    """The module's forward with some of its weights turned into others; gradients come back through the turn."""

    def run(module, *args):
        other = {name: turn(getattr(module, name)) for name, turn in turns.items() if getattr(module, name) is not None}
        return torch.func.functional_call(module, other, args)

    return run


def forward(call):
    """The module's own; a Dropout multiplies with the mask that it was given."""
    if call.mask is not None:
        return lambda module, x: x * call.mask / (1 - module.p) if module.training else x
    return lambda module, *args: module(*args)
