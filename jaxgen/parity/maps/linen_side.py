"""A Flax Linen model, the pair (module, variables): its arrays by path, its layers, and a run in which somebody stands
at every layer's door."""

from contextlib import contextmanager

import flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.errors import UserError
from jaxgen.parity.maps.layers import Layer, kind, running

ASIDE = ("intermediates", "cache")  # no weights


def holds(model):
    return isinstance(model, tuple) and len(model) == 2 and isinstance(model[0], linen.Module)


def flat_variables(variables):
    kept = {name: tree for name, tree in flax.core.unfreeze(variables).items() if name not in ASIDE}
    return flatten_dict(linen.unbox(kept), sep="/")


def take(model):
    """{path: array}, the collection first."""
    return {path: np.asarray(x) for path, x in flat_variables(model[1]).items()}


def put(model, flat):
    """The pair with these arrays in the places of its own."""
    module, variables = model
    arrays = {path: jnp.asarray(flat.get(path, x)) for path, x in flat_variables(variables).items()}
    mine = {name: tree for name, tree in flax.core.unfreeze(variables).items() if name not in ASIDE}
    return module, {**variables, **flax.core.meta.replace_boxed(mine, unflatten_dict(arrays, sep="/"))}


def layers(model, forward, inputs, whole):
    """{path: Layer} in the order of the first calls: layers exist only while the model runs. Attention is `whole`, or
    its projections are layers."""
    if inputs is None:
        raise UserError(
            "weight map: a Linen model has layers only while it runs. Give inputs=(x, ...), as torch has them."
        )
    modules = {}

    def note(path, module, args, compute):
        modules.setdefault(path, module.clone(parent=None, name=None))
        return compute()

    def run(variables, *arrays):
        with watched(model, None, note):
            return forward((model[0], variables), *arrays)

    with running("JAX"):
        jax.eval_shape(run, model[1], *inputs)
    owned = owners(model, [path for path, one in modules.items() if whole and kind(type(one)) == "attention"])
    if never := sorted(owned.keys() - modules.keys()):
        raise UserError(f"weight map: the forward of the JAX model never calls {never[0]}, which has weights.")
    return {path: Layer(path, one, kind(type(one)), owned[path]) for path, one in modules.items() if path in owned}


def owners(model, units):
    """{path of a layer: {name inside it: (path of the array, its shape)}}; what lies inside a unit belongs to it."""
    found = {}
    for name, x in flat_variables(model[1]).items():
        inside = name.partition("/")[2]
        owner = next((path for path in units if inside.startswith(f"{path}/")), inside.rpartition("/")[0])
        found.setdefault(owner, {})[inside[len(owner) :].removeprefix("/")] = (name, tuple(x.shape))
    return found


def lone(model, layer):
    """-> a layer as a model of its own, computing in the type of what it is given; {path: path inside it}."""
    flat, free = flat_variables(model[1]), {"dtype": None} if hasattr(layer.module, "dtype") else {}
    names = {name: f"{name.partition('/')[0]}/{local}" for local, (name, _) in layer.tensors.items()}
    variables = unflatten_dict({inside: flat[name] for name, inside in names.items()}, sep="/")
    return (layer.module.clone(**free), variables), names


def evaluating(model):
    return model


def module_of(model):
    return model[0]


def called(model, *args, **how):
    return model[0].apply(model[1], *args, **how)


@contextmanager
def watched(model, paths, watch):
    """While it lasts, `watch(path, module, inputs, compute)` answers the calls of the layers at `paths`, None: all."""
    busy = set()

    def answer(call, args, kwargs, context):
        path, module = "/".join(context.module.path), context.module
        if context.method_name != "__call__" or path in busy or not (paths is None or path in paths):
            return call(*args, **kwargs)
        busy.add(path)
        try:
            return watch(path, module, (*args, *kwargs.values()), lambda: call(*args, **kwargs))
        finally:
            busy.discard(path)

    with linen.intercept_methods(answer):
        yield
