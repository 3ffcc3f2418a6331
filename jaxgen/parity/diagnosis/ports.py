"""What a layer of the port answers to a call of its torch partner: the same names, in torch's layout."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import linen, nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.parity import maps, pairs
from jaxgen.parity.maps import linen_side, nnx_side
from jaxgen.parity.maps.layers import CHANNELS_FIRST, channels_last
from jaxgen.weights import to_state_dict

STATISTICS = {"running_mean": "mean", "running_var": "var"}  # torch's name, Flax's


class Layer(NamedTuple):
    """A layer of the port as a pure function of (params, held, mask, args) -> (output, held), with names and layouts:
    `names` are Flax's names of statistics, `lay(x)` brings an array to JAX's layout, `unlay(x, like)` back."""

    run: Callable[..., Any]
    params: Any
    held: dict[str, Any]
    names: dict[str, str]
    lay: Callable[..., Any]
    unlay: Callable[..., Any]


def port(setting):
    """A function of a call -> the answer of the port's layer to it, {} where it has none there."""
    layer = stranger(setting) if hasattr(setting.family, "pair") else own(setting)
    made: dict[tuple, Any] = {}

    def answer(call):
        key = call.path, call.training
        if key not in made:
            made[key] = (one := layer(call)) and (one, pairs.quick(answering(one.run)))
        return answered(*made[key], call) if made[key] else {}

    return answer


def own(setting):
    """Of a family: its layers have torch's names and layouts."""
    family, state = setting.family, setting.state
    module = nnx.merge(family.graphdef, state.params, state.stats)
    layers = {".".join(map(str, path)): layer for path, layer in nnx.iter_modules(module)}

    def layer(call):
        if call.path not in layers:
            return None
        one = nnx.clone(layers[call.path])
        one.path, one.training, one.compute, one.mask = call.path, call.training, None, None
        unlay = lambda x, like: np.moveaxis(x, -1, 1) if x.ndim == 4 else x
        return Layer(*nnx_parts(one), {}, pairs.from_torch, unlay)

    return layer


def stranger(setting):
    """Of a stranger's port: its layers are found by the weight map."""
    family, state = setting.family, setting.state
    tensors = to_state_dict(state.params.get("net", {}), state.stats.get("net", {}))
    model = maps.put(family.model, family.layout.jax_arrays(tensors))
    parts = nnx_layers(model) if isinstance(model, nnx.Module) else linen_layers(family, model)

    def layer(call):
        there = family.layers[call.path.removeprefix("net.")]
        lay = lambda x: channels_last(there, pairs.array(x))
        moved = lambda like: there.kind in CHANNELS_FIRST or lay(like).shape != tuple(like.shape)
        unlay = lambda x, like: np.moveaxis(x, -1, 1) if x.ndim > 2 and moved(like) else x
        return Layer(*parts(family.map.layers[there.path], call.training), STATISTICS, lay, unlay)

    return layer


def nnx_layers(model):
    layers = {nnx_side.join(path): layer for path, layer in nnx.iter_modules(model)}

    def parts(path, training):
        one = nnx.clone(layers[path])
        one.train() if training else one.eval()
        return nnx_parts(one)

    return parts


def nnx_parts(layer):
    """-> run, params, what else it holds."""
    graphdef, *trees = nnx.split(layer, nnx.Param, ...)
    params, rest = map(nnx.to_pure_dict, trees)

    def run(params, held, mask, *args):
        one = nnx.merge(graphdef, params, unflatten_dict(held, sep="/"))
        if mask is not None:
            one.mask = lambda shape, p: mask
        output = one(*args)
        return output, {path: x[...] for path, x in nnx_side.flat_state(one).items()}

    return run, params, flatten_dict(rest, sep="/")


def linen_layers(family, model):
    """The layers of Linen exist only while the model runs; each is then applied by itself."""
    module, variables = model
    found: dict[str, Any] = {}

    def note(path, one, inputs, compute):
        found.setdefault(path, one.clone(parent=None, name=None))
        return inputs[0] if isinstance(one, linen.Dropout) else compute()

    with linen_side.watched(model, None, note):
        module.apply(variables, *family.given(), **family.switches(False))
    flat = linen_side.flat_variables(variables)

    def parts(path, training):
        inside = {name: x for name, x in flat.items() if name.partition("/")[2].startswith(f"{path}/")}
        local = unflatten_dict({name.replace(f"/{path}/", "/", 1): x for name, x in inside.items()}, sep="/")
        return linen_parts(found[path], local, training, family.switches(training, found[path]))

    return parts


def linen_parts(one, variables, training, how):
    params = variables.pop("params", {})
    kinds = {name: kind for kind, tree in variables.items() for name in flatten_dict(tree, sep="/")}

    def run(params, held, mask, *args):
        rest = unflatten_dict({f"{kinds[name]}/{name}": x for name, x in held.items()}, sep="/")
        output, moved = one.apply({"params": params, **rest}, *args, mutable=list(rest) if training else [], **how)
        return output, held | {name.partition("/")[2]: x for name, x in linen_side.flat_variables(moved).items()}

    return run, params, {name.partition("/")[2]: x for name, x in linen_side.flat_variables(variables).items()}


def answering(run):
    """-> output, held afterwards, gradients by params and by the first argument if it is a float."""

    def answer(params, held, mask, args, slope):
        whole = not jnp.issubdtype(args[0].dtype, jnp.floating)  # indices have no gradient

        def one(params, x):
            result, after = run(params, held, mask, *([args[0] if whole else x, *args[1:]]))
            return jax.tree.leaves(result)[0], after

        output, back, after = jax.vjp(one, params, 0.0 if whole else args[0], has_aux=True)
        fits = slope is not None and slope.size == output.size
        slopes = back(slope.reshape(output.shape).astype(output.dtype)) if fits else None
        return output, after, slopes

    return answer


def answered(layer, answer, call):
    """Output, gradients by the input and by weights, statistics. In float32 if that is what the call gives."""
    if call.args[0].dtype == torch.float32:
        single = lambda x: np.asarray(x, np.float32) if np.asarray(x).dtype == float else np.asarray(x)
        layer = layer._replace(params=jax.tree.map(single, layer.params), held=jax.tree.map(single, layer.held))
    lay, names = layer.lay, layer.names
    before = {names.get(name, name): pairs.array(x) for name, x in call.buffers.items()}
    held = {name: np.asarray(before[name], x.dtype) if name in before else x for name, x in layer.held.items()}
    mask, slope = (None if x is None else lay(x) for x in (call.mask, call.slope))
    output, after, slopes = answer(layer.params, held, mask, [lay(x) for x in call.args], slope)
    told = {"output": layer.unlay(np.asarray(output), call.output)}
    if slopes is not None and told["output"].shape == tuple(call.output.shape):
        if np.ndim(slopes[1]):
            told["gradient by the input"] = layer.unlay(np.asarray(slopes[1]), call.args[0])
        told |= {f"gradient by {name}": np.asarray(x) for name, x in flatten_dict(slopes[0], sep="/").items()}
    kept = {name: np.asarray(after[there]) for name in call.buffers if (there := names.get(name, name)) in after}
    return told | {f"statistic {name}": x for name, x in kept.items() if x.dtype.kind == "f"}
