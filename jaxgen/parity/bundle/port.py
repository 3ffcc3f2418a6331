"""The port of a stranger's bundle without its torch side: inputs and weight map are the bundle's."""

from types import SimpleNamespace

from flax.traverse_util import unflatten_dict

from jaxgen import weights
from jaxgen.errors import UserError, needs
from jaxgen.parity import maps
from jaxgen.parity.layout import Layout
from jaxgen.parity.maps.weight_map import WeightMap, match
from jaxgen.parity.named import one
from jaxgen.parity.strangers import Pair

OWN = ("loss", "optimizers", "forwards")  # functions that a pair may bring for each side


def told(setting):
    """What the manifest says of a pair beside its name."""
    pair, family = setting.case, setting.family
    return {
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


def family(bundle, case=None):
    """`case`: where the port is: None (the bundle's own word), FILE.py[:CASE], a case, or the port itself."""
    told = bundle.told["case"]
    pair = found(bundle, case if case is not None else told["name"])
    for name, wanted in told["own"].items():
        if wanted != has(pair, name):
            cure = "Give the whole case: case(None, port, inputs, ...), its torch side may be None."
            raise UserError(f"{bundle.folder}: {name}: the frozen case has {'one' if wanted else 'none'}. {cure}")
    return without_torch(bundle, pair._replace(images=told["images"] and tuple(told["images"])))


def found(bundle, case):
    if case is None:
        cure = "Give the port: replay(folder, port), or --family FILE.py:CASE."
        raise UserError(f"{bundle.folder}: frozen in Python, so it names no file. {cure}")
    if not isinstance(case, str):
        return case if isinstance(case, Pair) else Pair(bundle.told["case"]["label"], None, case, {})
    try:
        return one(case)
    except ModuleNotFoundError as error:
        cure = "Put the port into a file without it, as case(None, port, inputs), and name that: --family FILE.py:CASE."
        raise UserError(f"{case}: this file needs {error.name}, which is not installed. {cure}") from error


def without_torch(bundle, pair):
    """What `Ours.__init__` finds beside a twin, from what it left in the bundle."""
    needs("torch", "verify")  # stranger_jax shares names with stranger_torch, which imports it
    from jaxgen.parity.stranger_jax import NET, Ours, ready

    told, ours, batch = bundle.told["case"], object.__new__(Ours), bundle.arrays["given"]["steps"]["0"]["batch"]
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
