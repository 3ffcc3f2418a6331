"""The port of a stranger's bundle without its torch side: inputs and weight map are the bundle's."""

from collections.abc import Callable
from typing import Any

import numpy as np

from jaxgen import weights
from jaxgen.errors import UserError
from jaxgen.parity import maps
from jaxgen.parity.layout import Layout
from jaxgen.parity.maps.weight_map import WeightMap, match
from jaxgen.parity.named import one
from jaxgen.parity.stranger_jax import Ours, images_of, laid, made, trees
from jaxgen.parity.stranger_run import ready
from jaxgen.parity.strangers import NET, Pair

OWN = ("loss", "optimizers", "forwards")  # functions that a pair may bring for each side


def told(setting):
    """What the manifest says of a pair beside its name."""
    pair, family = setting.case, setting.family
    return {
        "inputs": list(pair.inputs),
        "images": None if pair.images is None else list(pair.images),
        "own": {name: has(pair, name) for name in OWN},
        "map": family.map.to_json() if family.map else None,
        "statistics": sorted(weights.to_state_dict({}, setting.state.stats)),
        "rates": list(setting.twin.rates),
    }


def has(pair, name):
    """Whether the JAX side brings a function of its own."""
    both = getattr(pair, name)
    return bool(both and both[1])


def port(
    model: Any,  # an nnx.Module, a linen.Module, the pair (linen module, variables), or a function of arrays
    *,
    loss: Callable | None = None,  # (output, *inputs) -> scalar, where the case has losses of its own
    optimizer: Any = None,  # an optax transformation, where the case has optimisers of its own
    forward: Callable | None = None,  # (model, *arrays) -> output, where the case has forwards of its own
) -> Pair:
    """The JAX side of a case, to be replayed: a file that has this needs no torch."""
    given: dict[str, Any] = {"loss": loss, "optimizers": optimizer, "forwards": forward}
    own: dict[str, Any] = {name: (None, x) for name, x in given.items() if x is not None}
    return Pair("port", None, model, {}, **own)


def family(bundle, case=None):
    """`case`: where the port is: None (the bundle's own word), FILE.py[:CASE], a case, or the model itself."""
    told = bundle.told["case"]
    pair = found(bundle, case if case is not None else told["name"])
    if odd := next((name for name, wanted in told["own"].items() if wanted != has(pair, name)), None):
        given = "one of its own, the port given has none" if told["own"][odd] else "none of its own, the port given has"
        raise UserError(f"{bundle.folder}: {odd}: the case has {given}. Give port(model, loss=..., ...) as it does.")
    batch = bundle.arrays["given"]["steps"]["0"]["batch"]
    images = told["images"] and tuple(told["images"])
    pair = pair._replace(name=told["label"], images=images, inputs={key: batch[key] for key in told["inputs"]})
    as_torch = lambda key, x: np.moveaxis(x, -1, -3) if key in images_of(pair) else x
    return without_torch(bundle, pair._replace(inputs={key: as_torch(key, x) for key, x in pair.inputs.items()}))


def found(bundle, case):
    if case is None:
        cure = "Give the port: replay(folder, model), or --family FILE.py:NAME."
        raise UserError(f"{bundle.folder}: frozen in Python, so it names no file. {cure}")
    if not isinstance(case, str):
        return case if isinstance(case, Pair) else port(case)
    try:
        return one(case)
    except ModuleNotFoundError as error:
        cure = "Name a file with the JAX side alone, port(model), from jaxgen.parity.bundle: --family FILE.py:NAME."
        raise UserError(f"{case}: this file needs {error.name}, which is not installed. {cure}") from error
    except UserError as error:
        raise UserError(f"{error} If the port stands elsewhere now: --family FILE.py:NAME.") from error


def without_torch(bundle, pair):
    """The port alone: what its twin told of weights and rates stands in the bundle."""
    told, tensors, found = bundle.told["case"], bundle.arrays["weights"], None
    model = ready(pair.jax, list(laid(pair, made(pair, 0)).values()))
    if told["map"]:
        found = WeightMap.from_json(told["map"])
        match(f"{bundle.folder}: the port", maps.take(model), found.jax)
    dropped = {f"{NET}.{name}": why for name, why in Layout(found).dropped.items()} if found else {}
    return Ours(pair, model, found, trees(tensors, told["statistics"]), told["rates"], dropped, {})
