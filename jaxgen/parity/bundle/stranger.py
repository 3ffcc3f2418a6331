"""The port of a stranger's bundle without its torch side: inputs and weight map are the bundle's."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from flax.traverse_util import unflatten_dict

from jaxgen import weights
from jaxgen.errors import UserError
from jaxgen.parity import maps
from jaxgen.parity.layout import Layout
from jaxgen.parity.maps.weight_map import WeightMap, match
from jaxgen.parity.named import one
from jaxgen.parity.stranger_jax import Ours
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
    inputs = {name: batch[name] for name in told["inputs"]}  # in the order of the arguments
    images = told["images"] and tuple(told["images"])
    return without_torch(bundle, pair._replace(name=told["label"], inputs=inputs, images=images))


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
    """What `Ours.__init__` finds beside a twin, from what it left in the bundle."""
    told, ours, batch = bundle.told["case"], object.__new__(Ours), pair.inputs
    ours.pair, ours.compute, ours.keep, ours.rates, ours.layers = pair, None, None, [], {}
    ours.images = tuple(key for key, x in batch.items() if x.ndim == 4) if pair.images is None else pair.images
    ours.model, ours.map, ours.layout = ready(pair.jax, list(batch.values())), None, None
    if told["map"]:
        ours.map = WeightMap.from_json(told["map"])
        match(f"{bundle.folder}: the port", maps.take(ours.model), ours.map.jax)
        ours.layout = Layout(ours.map)
    ours.paths = {path: name for name, path in ours.map.layers.items()} if ours.map else {}
    ours.tapped = {f"{NET}.{name}" for name in ours.paths.values() if name}
    ours.dropped = {f"{NET}.{name}": why for name, why in ours.layout.dropped.items()} if ours.layout else {}
    moved = lambda wanted: {k: x for k, x in bundle.arrays["weights"].items() if (k in told["statistics"]) == wanted}
    ours.start = tuple(unflatten_dict(moved(wanted), sep=".") for wanted in (False, True))
    ours.batches = lambda count: {key: x[None] for key, x in batch.items()}
    ours.compare_rates(SimpleNamespace(rates=told["rates"]))
    return ours
