"""A Flax NNX model: its arrays by path, its layers, and a run in which somebody stands at every layer's door."""

from contextlib import contextmanager
from functools import wraps

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxgen.parity.maps.layers import Layer, kind

ASIDE = (nnx.RngState, nnx.Cache, nnx.Intermediate)  # no weights


def holds(model):
    return isinstance(model, nnx.Module)


def join(path):
    return "/".join(map(str, path))


def flat_state(model):
    variables = nnx.to_flat_state(nnx.state(model))
    return {join(path): x for path, x in variables if not isinstance(x, ASIDE)}


def take(model):
    """{path: array}."""
    return {path: np.asarray(x[...]) for path, x in flat_state(model).items()}


def put(model, flat):
    """A copy with these arrays in the places of its own."""
    graphdef, state = nnx.split(model)

    def changed(path, x):
        if (value := flat.get(join(path))) is None:
            return x
        return x.replace(jnp.asarray(value)) if isinstance(x, nnx.Variable) else jnp.asarray(value)

    copy = nnx.merge(graphdef, nnx.from_flat_state([(path, changed(path, x)) for path, x in nnx.to_flat_state(state)]))
    return widened(copy) if any(jnp.result_type(x) == np.float64 for x in flat.values()) else copy


def widened(model):
    """Layers with a float type of their own (an nnx.Embed takes that of its first weights) compute in float64."""
    for _, one in nnx.iter_modules(model):
        if (dtype := vars(one).get("dtype")) is not None and jnp.issubdtype(dtype, jnp.floating):
            one.dtype = jnp.float64
    return model


def layers(model, forward, inputs, whole):
    """{path: Layer} in the order of definition; attention is `whole`, or its projections are layers."""
    shapes = {path: tuple(np.shape(x[...])) for path, x in flat_state(model).items()}
    modules = {join(path): one for path, one in nnx.iter_modules(model)}
    units = [path for path, one in modules.items() if whole and kind(type(one)) == "attention"]
    found = {}
    for name in sorted(shapes, key=lambda name: order(model, name)):
        owner = next((path for path in units if name.startswith(f"{path}/")), name.rpartition("/")[0])
        while owner not in modules:  # a dict or a list between a module and its array
            owner = owner.rpartition("/")[0]
        one = modules[owner]
        found.setdefault(owner, Layer(owner, one, kind(type(one))))
        found[owner].tensors[name.removeprefix(f"{owner}/")] = (name, shapes[name])
    return found


def order(model, name):
    """Where the attributes on a path stand among their siblings, as they were set."""
    places, here = [], model
    for part in name.split("/"):
        inside = here if isinstance(here, dict) else getattr(here, "__dict__", {})
        places.append(list(inside).index(part) if part in inside else len(inside))
        here = inside.get(part)
    return places


def lone(model, layer):
    """-> a layer as a model of its own, {path: path inside it}."""
    return evaluating(layer.module), {name: local for local, (name, _) in layer.tensors.items()}


def evaluating(model):
    """A copy in evaluation."""
    copy = nnx.merge(*nnx.split(model))
    copy.eval()
    return copy


def module_of(model):
    return model


def called(model, *args, **how):
    return model(*args, **how)


@contextmanager
def watched(model, paths, watch):
    """While it lasts, `watch(path, module, inputs, compute)` answers each call of the layers at `paths`."""
    calls, busy = {}, set()
    for path, one in nnx.iter_modules(model):
        if join(path) in paths:
            one.path_in_map = join(path)  # known inside nnx.jit too, where every module is a copy
            calls[type(one)] = (type(one).__call__, "__call__" in vars(type(one)))
    for cls, (call, _) in calls.items():
        cls.__call__ = door(call, watch, busy)
    try:
        yield
    finally:
        for cls, (call, its_own) in calls.items():
            cls.__call__ = call
            if not its_own:
                del cls.__call__


def door(call, watch, busy):
    """A layer's call, answered by `watch`."""

    @wraps(call)
    def answer(self, *args, **kwargs):
        path = getattr(self, "path_in_map", None)
        if path is None or path in busy:  # busy: it calls the method of its parent class
            return call(self, *args, **kwargs)
        busy.add(path)
        try:
            return watch(path, self, (*args, *kwargs.values()), lambda: call(self, *args, **kwargs))
        finally:
            busy.discard(path)

    return answer
