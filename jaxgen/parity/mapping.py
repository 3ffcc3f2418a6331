"""The weight map of a case: found for a stranger's pair, the identity for a family."""

import jax
from flax.traverse_util import flatten_dict

from jaxgen.parity import maps, pairs
from jaxgen.parity.strangers import Pair


def mapping(case):
    """-> the map, and the state_dict of the torch side as it was given."""
    family, twin = case.build()
    if isinstance(case, Pair):
        return family.map, pairs.arrays(case.torch.state_dict())
    params, stats = pairs.like(jax.eval_shape(family.init, jax.random.key(0)), twin)
    tree = flatten_dict(params, sep=".") | flatten_dict(stats, sep=".")
    return maps.weight_map(twin, tree), pairs.arrays(twin.float().state_dict())


def rows(setting):
    """For a report: {"torch", "jax", "shape", "dtype", "rule", "reason"} of every tensor."""
    if found := getattr(setting.family, "map", None):
        text = lambda row: {"torch": ", ".join(row["torch"]), "jax": ", ".join(row["jax"]), "dtype": "float64"}
        return [{**row, **text(row), "shape": (row["torch_shape"] or row["jax_shape"])[0]} for row in found.rows()]
    as_it_is = {"rule": "as it is", "reason": "the tree is a state_dict"}
    told = setting.state_dict.items()
    return [{"torch": key, "jax": key, "shape": list(x.shape), "dtype": x.dtype.name, **as_it_is} for key, x in told]
