"""A PyTorch module: its layers that hold tensors, and what each of them takes and gives in one run."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxgen.errors import needs
from jaxgen.parity.maps.layers import Layer, kind, nested, running
from jaxgen.parity.maps.weight_map import array


@dataclass
class Trace:
    """`calls`: {path: [(inputs, output), ...]} in the order of the first calls, `shapes`: those of all images on the
    way, without the batch; `outputs`: the arrays that the module returns. All in torch's layout."""

    module: Any
    calls: dict = field(default_factory=dict)
    shapes: dict = field(default_factory=dict)
    outputs: list = field(default_factory=list)

    @property
    def state_dict(self):
        return {name: array(x) for name, x in self.module.state_dict().items()}


def layers(module, called=()) -> tuple[dict[str, Layer], dict[str, str]]:
    """-> {path: Layer} in the order of the first calls, then of definition, and {name of a tensor: its first name}."""
    units = [path for path, one in module.named_modules() if kind(type(one)) == "attention"]
    seen: dict[int, str] = {}
    found: dict[str, Layer] = {}
    for name, x in module.state_dict(keep_vars=True).items():
        seen.setdefault(id(x), name)
        owner = next((path for path in units if name.startswith(f"{path}." if path else "")), name.rpartition(".")[0])
        one = module.get_submodule(owner)
        found.setdefault(owner, Layer(owner, one, kind(type(one))))
        found[owner].tensors[name[len(owner) :].removeprefix(".")] = (name, tuple(x.shape))
    place = {path: i for i, path in enumerate(called)}
    ordered = sorted(found, key=lambda path: place.get(path, len(place)))
    names = {name: seen[id(x)] for name, x in module.state_dict(keep_vars=True).items()}
    return nested({path: found[path] for path in ordered}), {a: b for a, b in names.items() if a != b}


def trace(module, forward, inputs) -> Trace:
    """One run of a copy in float64, evaluation, all weights moved off the values that hide what they do."""
    torch = needs("torch", "verify")
    traced = Trace(randomised(copy.deepcopy(module)))
    for x in inputs:
        note(traced, np.shape(x)[1:])

    def record(path):
        def hook(one, args, kwargs, result):
            taken = [array(x).copy() for x in (*args, *kwargs.values()) if isinstance(x, torch.Tensor)]
            traced.calls.setdefault(path, []).append((taken, next(iter(tensors(result)), None)))

        return hook

    for path, one in traced.module.named_modules():
        one.register_forward_hook(record(path), with_kwargs=True)
    with running("PyTorch"), torch.no_grad(), looking(traced):
        traced.outputs = tensors(forward(traced.module, *map(tensor, inputs)))
    return traced


def looking(traced):
    """Notes the shape of whatever any function of torch returns."""
    torch = needs("torch", "verify")

    class Looking(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                note(traced, tuple(result.shape[1:]))
            return result

    return Looking()


def note(traced, shape):
    """An image that may be flattened into features: channels and at least one more axis that matters."""
    if len(shape) >= 2 and shape[0] > 1 and np.prod(shape[1:]) > 1:
        traced.shapes[tuple(shape)] = None


def randomised(module):
    """Buffers stay as they are, but for running statistics: masks and positions have a meaning."""
    torch = needs("torch", "verify")
    generator, module = torch.Generator().manual_seed(0), module.cpu().double().eval()
    running = {name: x for name, x in module.named_buffers() if name.endswith(("running_mean", "running_var"))}
    with torch.no_grad():
        for name, x in {**dict(module.named_parameters()), **running}.items():
            size = 0.5 * float(x.std()) if x.numel() > 1 else 0.0
            x += (size or 0.1) * torch.randn(x.shape, generator=generator, dtype=x.dtype)
            if name.endswith("running_var"):
                x.abs_().add_(0.1)
    return module


def tensor(x):
    torch, x = needs("torch", "verify"), np.asarray(x)
    return torch.from_numpy(np.array(x, float if np.issubdtype(x.dtype, np.floating) else x.dtype, order="C"))


def tensors(tree):
    """The arrays in whatever a module returns."""
    if hasattr(tree, "detach"):
        return [array(tree).copy()]
    items = (
        [tree[key] for key in sorted(tree)]
        if isinstance(tree, dict)
        else tree
        if isinstance(tree, (list, tuple))
        else ()
    )
    return [x for item in items for x in tensors(item)]
