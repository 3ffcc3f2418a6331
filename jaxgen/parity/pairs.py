"""Twins found by name and given the same weights, batches and draws; images NHWC here, NCHW there."""

import inspect
from functools import partial
from typing import Any, Literal, NamedTuple, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import core, find, weights
from jaxgen.errors import needs
from jaxgen.functional import Functional

LR, ROWS = 1e-3, 8  # the learning rate, the unit of updates; rows of a share


class Case(NamedTuple):
    """A family and its twin, built with the same arguments."""

    name: str
    arguments: dict[str, Any]
    ours: Any  # the class
    theirs: Any  # the class

    def __str__(self):
        return " ".join([find.label(self.name), *(f"{k}={v}" for k, v in self.chosen.items())])

    @property
    def chosen(self):
        """The arguments that are neither of the test size nor defaults."""
        return {key: value for key, value in self.arguments.items() if self.ours.small.get(key) != value}


def cases(name, twin=None):
    """The test-sized form of a family, and one case more for each further value of an argument that has a choice."""
    needs("torch", "verify")
    ours, theirs = find.family(name), find.twin(name, twin)
    yield Case(name, ours.small, ours, theirs)
    for key, parameter in inspect.signature(ours.__init__, eval_str=True).parameters.items():
        for value in choices(parameter.annotation):
            if value != ours.small.get(key, parameter.default):
                yield Case(name, ours.small | {key: value}, ours, theirs)


def choices(annotation):
    return get_args(annotation) if get_origin(annotation) is Literal else (False, True) if annotation is bool else ()


def build(case):
    """-> our family, the twin in double precision, both unaware of each other's weights."""
    torch = needs("torch", "verify")
    torch.manual_seed(0)
    return Functional(case.ours(**case.arguments)), case.theirs(**case.arguments).double()


def start(family, txs):
    """A state in which nothing stands at a value that could hide a fault: no zero bias, no unit scale."""
    params, stats = randomised(family.init(jax.random.key(0)), np.random.default_rng(0))
    state = core.init(family, txs, jax.random.key(0), averaged=True)
    return state.replace(params=params, stats=stats, ema=jax.tree.map(jnp.copy, {"params": params, "stats": stats}))


def randomised(tree, rng):
    def moved(x):
        if jnp.issubdtype(x.dtype, jnp.integer):
            return x + 3
        return x + (0.5 * float(x.std()) or 0.1) * rng.normal(size=x.shape)

    return jax.tree.map(moved, tree)


def batches(family, steps):
    """Batches stacked along a leading time axis, uniform in the stated ranges."""
    rng = np.random.default_rng(1)

    def make(x):
        shape = (steps, *x.shape)
        whole = np.issubdtype(np.dtype(x.dtype), np.integer)
        return rng.integers(int(x.low), int(x.high) + 1, shape, x.dtype) if whole else rng.uniform(x.low, x.high, shape)

    return {name: jnp.asarray(make(x)) for name, x in family.inputs(ROWS * core.shares(family)).items()}


def at(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def give(twin, params, stats):
    """Our weights to the twin, strictly."""
    twin.load_state_dict(jax.tree.map(tensor, weights.to_state_dict(params, stats)), strict=True)


def arrays(tensors):
    return {key: value.detach().cpu().numpy().copy() for key, value in tensors.items()}


def tensor(x):
    return needs("torch", "verify").from_numpy(np.array(x, order="C"))


def to_torch(family, tree):
    """NHWC -> NCHW for the leaves of which the family names a part of the path, and for the masks of images."""

    def convert(path, x):
        names = [str(getattr(part, "key", part)) for part in path]
        image = any(name in family.images for name in names) or ("masks" in names and x.ndim == 4)
        return tensor(np.moveaxis(np.asarray(x), -1, -3) if image else x)

    return jax.tree_util.tree_map_with_path(convert, tree)


def from_torch(x):
    """Images NCHW -> NHWC, all else as it is."""
    x = x.detach().cpu().numpy()
    return np.moveaxis(x, -3, -1) if x.ndim == 4 else x


def updates(family, txs):
    return jax.jit(partial(core.update, family, txs))
