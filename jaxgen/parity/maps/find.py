"""`weight_map`: the map between a PyTorch module and its port, found from the types and names of their layers, and from
what the numbers say where types and names leave a choice."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from jaxgen.errors import UserError, needs
from jaxgen.parity.maps import models, torch_side
from jaxgen.parity.maps.choices import alone, choices, made, orders, rule, unfolded
from jaxgen.parity.maps.context import Context
from jaxgen.parity.maps.overrides import read
from jaxgen.parity.maps.pairing import Pairs, by_inputs, by_name, by_order, complete
from jaxgen.parity.maps.parts import COUNTER
from jaxgen.parity.maps.weight_map import Rule, WeightMap, match


def weight_map(
    torch_module: Any,
    jax_model: Any,  # an nnx.Module; the pair (linen module, variables); or {name: array}, a tree that is a state_dict
    inputs: Sequence[Any] | None = None,  # arrays in torch's layout; needed for Linen, and to see what is flattened
    overrides: Mapping[str, Any] | None = None,  # {"fc": "Dense_0"}, {"fc.weight": permute(1, 0)}, a Rule, constant()
    torch_forward: Callable[..., Any] | None = None,  # (module, *tensors) -> whatever it returns
    jax_forward: Callable[..., Any] | None = None,  # (model, *arrays) -> whatever it returns
    jax_inputs: Sequence[Any] | None = None,  # the inputs as JAX takes them, if not those of four axes (N, H, W, C)
) -> WeightMap:
    """The strict and checked map; what it cannot settle is an error that names the override to write."""
    needs("torch", "verify")
    if isinstance(jax_model, Mapping):
        return identity(torch_module, jax_model).check()
    with jax.enable_x64(True):
        forwards = (torch_forward or (lambda module, *x: module(*x)), jax_forward or models.call)
        given = (inputs, as_jax(inputs) if jax_inputs is None else jax_inputs)
        return searched(torch_module, models.double(jax_model), *given, overrides, *forwards).check()


def identity(module, arrays):
    """The map of our own nets, whose trees are state_dicts."""
    there = {name: tuple(x.shape) for name, x in module.state_dict().items()}
    match("JAX arrays", {name: np.asarray(x) for name, x in flatten_dict(dict(arrays), sep=".").items()}, there)
    rules = tuple(Rule((name,), (name,), reason="the tree is a state_dict") for name in there)
    paths = dict.fromkeys(name.rpartition(".")[0] for name in there)
    return WeightMap(rules, there, dict(there), {path: path for path in paths})


def searched(module, model, inputs, jax_inputs, overrides, torch_forward, jax_forward):
    arrays = None if inputs is None else [jnp.asarray(x) for x in jax_inputs]
    trace = torch_side.Trace(module) if inputs is None else torch_side.trace(module, torch_forward, inputs)
    theirs, aliases = torch_side.layers(module, list(trace.calls))
    whole = any(layer.kind == "attention" for layer in theirs.values())
    ours = models.side(model).layers(model, jax_forward, arrays, whole)
    given = read(overrides, theirs, ours)
    pairs = Pairs(theirs, ours, aliases, given.claimed)
    context = None if inputs is None else Context(trace, pairs, model, jax_forward, arrays)
    pair(pairs, given, context)
    found = list(choices(pairs, model, trace.calls, given))
    if context:
        context.model = models.put(model, {k: x for one in found for k, x in one.made(trace.state_dict).items()})
        found = unfolded(alone(found, context), context)
    return assembled(module, models.take(model), pairs, given.rules, found)


def as_jax(inputs):
    return inputs and [np.moveaxis(x, 1, -1) if np.ndim(x) == 4 else x for x in inputs]


def pair(pairs, given, context):
    """Overrides first, then names, then what the layers are given, then their order."""
    for a, b in {**owners(given.rules, pairs), **given.layers}.items():
        if pairs.parts(a, b) is None:
            raise UserError(f"overrides: {pairs.theirs[a]} cannot be {pairs.ours[b]}: their tensors do not fit.")
        pairs.join(a, b, "given")
    by_name(pairs)
    if context and pairs.left()[1]:
        context.model = models.put(context.model, usual(pairs, context.trace.state_dict))
        by_inputs(pairs, context)
    by_order(pairs)
    complete(pairs)


def owners(rules, pairs):
    """{torch layer: JAX layer} where rules take all the tensors of just these two."""
    owner = {
        name: path for side in (pairs.theirs, pairs.ours) for path, x in side.items() for name, _ in x.tensors.values()
    }
    ends = [[{owner[name] for name in names} for names in (rule.torch, rule.jax)] for rule in rules]
    found = [(min(a), min(b)) for a, b in ends if len(a) == len(b) == 1]
    return {a: b for a, b in found if pairs.parts(a, b) is not None}


def usual(pairs, state_dict):
    """The arrays of the layers paired so far, laid out as is usual."""
    parts = [part for a, b in pairs.partner.items() for part in pairs.parts(a, b)]
    return {path: x for part in parts for path, x in made(part, part.options[0], state_dict).items()}


def assembled(module, arrays, pairs, rules, found):
    """In the order of the state_dict, with what JAX has not."""
    rules = [*rules, *(rule(pairs, one) for one in found)]
    there = {name: tuple(x.shape) for name, x in module.state_dict().items()}
    used = {name for rule in rules for name in rule.torch}
    for name in there.keys() - used:
        if name.rpartition(".")[2] == COUNTER:
            rules.append(Rule((name,), (), reason="Flax does not count batches", fill=0))
        elif name in pairs.aliases:
            rules.append(Rule((name,), (), reason="a tied tensor", same_as=pairs.aliases[name]))
    place = {name: i for i, name in enumerate(there)}
    rules = sorted(rules, key=lambda rule: place[rule.torch[0]] if rule.torch else len(place))
    here = {path: x.shape for path, x in arrays.items()}
    layers = {a: pairs.partner[a] for a in pairs.theirs if a in pairs.partner}
    return WeightMap(tuple(rules), there, here, layers, *orders(pairs, found))
