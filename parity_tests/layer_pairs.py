"""One layer built twice from one text, here and in torch, with the same weights, and compared.

Images are (N, C, H, W) in all that is compared; only what the layer here is given and gives has channels last.
"""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen import nn, weights
from jaxgen.functional import Functional
from jaxgen.parity import compare as gates
from jaxgen.parity.compare import largest

# Compiling is nearly all the time of these tests, and the formulas are the same without the passes that make them fast.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
torch.set_num_threads(1)  # the tensors are small: threads would only wait for each other


def blocks(Module, nn):
    """A net with a ModuleList, for either package."""

    class Blocks(Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Linear(3, 4)
            self.blocks = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)) for _ in range(3)])

        def forward(self, x):
            x = self.stem(x)
            for block in self.blocks:
                x = x + block(x)
            return x * len(self.blocks) + self.blocks[-1][1:](x) + self.blocks[0][0](x) * len(self.blocks[1])

        __call__ = forward

    return Blocks


def mine(text):
    return Functional(eval(text, {**vars(nn), "Blocks": blocks(nnx.Module, nn)}))


def theirs(text):
    return eval(text, {**vars(torch.nn), "Blocks": blocks(torch.nn.Module, torch.nn)})


def compare(text, shape, edge=lambda x: x):
    random = np.random.default_rng(0)
    x = edge(random.normal(size=shape))
    changes = "BatchNorm" in text or "Dropout" in text
    calls = [(x, True), (x[::-1] * 2 + 1, True), (x, False)] if changes else [(x, True)]
    layer = theirs(text).double()
    state_dict = {key: randomised(key, value, random) for key, value in layer.state_dict().items()}
    layer.load_state_dict({key: torch.from_numpy(value) for key, value in state_dict.items()})
    probes = {name: random.normal(size=value.shape) for name, value in layer.named_parameters()}
    probes |= {"x": random.normal(size=shape), "y": random.normal(size=layer.eval()(torch.from_numpy(x)).shape)}
    want = there(layer, calls, probes)
    assert_same(here(text, calls, state_dict, probes), want)


def randomised(key, value, random):
    if key.endswith("num_batches_tracked"):
        return np.array(3)
    return random.uniform(0.5, 2, value.shape) if key.endswith("running_var") else random.normal(size=value.shape)


def there(layer, calls, probes):
    """{what: array} of each call: y, the gradients of <probe, sin y> by the input and each parameter, the gradients of
    <probes, those gradients>, and the statistics after it."""
    dot = lambda name, value: (torch.from_numpy(probes[name]) * value).sum()
    found = {}
    for i, (x, train) in enumerate(calls):
        free = dict(layer.named_parameters()) | ({"x": torch.tensor(x, requires_grad=True)} if x.dtype == float else {})
        torch.manual_seed(0)
        y = layer.train(train)(free.get("x", torch.from_numpy(x)))
        first = gradients(dot("y", y.sin()), free)
        second = gradients(sum(dot(name, slope) for name, slope in first.items()), free)
        found |= {f"{i} y": y, **titled(f"{i} by", first), **titled(f"{i} twice by", second)}
        found |= titled(i, {name: value.clone() for name, value in layer.named_buffers()})
    return {name: value.detach().numpy() for name, value in found.items()}


def gradients(value, free):
    found = torch.autograd.grad(value, free.values(), create_graph=True, materialize_grads=True)
    return dict(zip(free, found, strict=True))


def here(text, calls, state_dict, probes):
    """The same of the layer here, in torch's layout."""
    layer = mine(text)
    params, stats = loaded(layer, state_dict)
    flat = flatten_dict(params, sep=".")
    probes = {name: last(text, x) if name in "xy" else x for name, x in probes.items()}
    dot = lambda name, value: (probes[name] * value).sum()

    def value(free, x, stats, train):
        params = unflatten_dict({name: free[name] for name in flat}, sep=".")
        y, stats = layer.apply(params, stats, free.get("x", x), train=train, mask=lambda _, *ask: kept(text, *ask))
        return dot("y", jnp.sin(y)), (y, stats)

    def record(x, stats, train):
        free = flat | ({"x": x} if x.dtype == float else {})
        slope = jax.grad(value, has_aux=True)
        first, (y, moved) = slope(free, x, stats, train)
        along = lambda free: sum(dot(name, g) for name, g in slope(free, x, stats, train)[0].items())
        return {"y": y, **titled("by", first), **titled("twice by", jax.grad(along)(free))}, moved

    found, record = {}, jax.jit(record, static_argnums=2, compiler_options=QUICK)
    for i, (x, train) in enumerate(calls):
        arrays, stats = record(last(text, x), stats, train)
        arrays = {name: first(text, np.asarray(x)) if name[-1] in "xy" else np.asarray(x) for name, x in arrays.items()}
        found |= titled(i, arrays | weights.to_state_dict({}, stats))
    return found


def loaded(layer, state_dict, dtype=float):
    """Its arrays as `state_dict` has them, without drawing any first."""
    empty = lambda x: np.empty(x.shape, dtype if x.dtype == float else x.dtype)
    return weights.from_state_dict(*jax.tree.map(empty, jax.eval_shape(layer.init, jax.random.key(0))), state_dict)


def titled(title, arrays):
    return {f"{title} {name}": x for name, x in arrays.items()}


def images(text, x):
    """Whether the axis after the batch holds channels; for Linear and LayerNorm, three axes are tokens."""
    return x.ndim == 4 or x.ndim == 3 and text.startswith(("BatchNorm1d", "GroupNorm"))


def last(text, x):
    return np.moveaxis(x, 1, -1) if images(text, x) else x


def first(text, x):
    return np.moveaxis(x, -1, 1) if images(text, x) else x


def kept(text, shape, p):
    """The mask that torch's Dropout draws."""
    torch.manual_seed(0)
    ones = first(text, np.ones(shape))
    return last(text, torch.nn.functional.dropout(torch.from_numpy(ones).contiguous(), p).numpy() > 0)


def assert_same(have, want):
    """Some gradients are zero but for rounding, so each is measured by 1e-4 of the case's largest gradient at least."""
    assert have.keys() == want.keys()
    gradients = {name for name in want if "by " in name}
    floor = 1e-4 * largest({name: np.nan_to_num(want[name], posinf=0, neginf=0) for name in gradients})
    for level, names, least in (("values", want.keys() - gradients, 0), ("gradients", gradients, floor)):
        row = gates.compare(level, *({name: x[name] for name in names} for x in (have, want)), floor=least)
        assert row.ok, row
