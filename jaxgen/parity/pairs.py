"""Twins found by name and given the same weights, batches and draws; images NHWC here, NCHW there."""

import inspect
from functools import partial
from typing import Any, Literal, NamedTuple, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen import core, find, weights
from jaxgen.errors import needs
from jaxgen.functional import Functional

LR, ROWS = 2e-4, 8  # the documented learning rate of the GANs, the unit of updates; rows of a share
POSITIVE = ("running_var", "cluster_size")  # statistics that never fall below zero
MANY = 30  # steps that repay seconds of compiling


class Case(NamedTuple):
    """A family and its twin, built with the same arguments."""

    name: str
    arguments: dict[str, Any]
    ours: Any  # the class
    theirs: Any  # the class

    def __str__(self):
        return " ".join([find.label(self.name), *(f"{k}={v}" for k, v in self.chosen.items())])

    @property
    def samples_alone(self):
        """Whether it differs from the first case in how images are sampled, and in nothing else."""
        return bool(self.chosen) and self.chosen.keys() <= set(getattr(self.ours, "sampling", ()))

    @property
    def long(self):
        """Whether a long run of it would tell more than that of the family's first case: it has other weights."""
        shapes = lambda arguments: {key: x.shape for key, x in self.theirs(**arguments).state_dict().items()}
        return not self.chosen or shapes(self.arguments) != shapes(self.ours.small)

    @property
    def chosen(self):
        """The arguments that are neither of the test size nor defaults."""
        return {key: value for key, value in self.arguments.items() if self.ours.small.get(key) != value}

    def build(self):
        """-> our family, the twin in double precision, both unaware of each other's weights."""
        needs("torch", "verify").manual_seed(0)
        return Functional(self.ours(**self.arguments)), self.theirs(**self.arguments).double()


def cases(name, twin=None):
    """The test-sized form of a family, one case more for each further value of an argument that has a choice, and those
    that the family lists (`further`), where values need each other; none for arguments of which another family shows
    all values (`elsewhere`)."""
    needs("torch", "verify")
    ours, theirs = find.family(name), find.twin(name, twin)
    further, elsewhere = getattr(ours, "further", ()), getattr(ours, "elsewhere", ())
    listed = {(key, value) for each in further for key, value in each.items()}
    yield Case(name, ours.small, ours, theirs)
    for key, parameter in inspect.signature(ours.__init__, eval_str=True).parameters.items():
        for value in () if key in elsewhere else choices(parameter.annotation):
            if value != ours.small.get(key, parameter.default) and (key, value) not in listed:
                yield Case(name, ours.small | {key: value}, ours, theirs)
    for more in further:
        yield Case(name, ours.small | more, ours, theirs)


def choices(annotation):
    return get_args(annotation) if get_origin(annotation) is Literal else (False, True) if annotation is bool else ()


def start(family, txs, twin=None):
    """A state in which nothing stands at a value that could hide a fault: no zero bias, no unit scale. Compiling the
    initial weights takes seconds; those of a twin serve as well."""
    abstract = jax.eval_shape(family.init, jax.random.key(0))
    made = jax.tree.map(np.asarray, family.init(jax.random.key(0))) if twin is None else like(abstract, twin)
    params, stats = randomised(made, np.random.default_rng(0))
    pick = lambda player: core.pick(params, player.trains)
    opt = quick(lambda params: {name: txs[name].init(pick(x)) for name, x in family.players.items()})(params)
    core.check(family, params | stats)
    return core.State(jnp.zeros((), jnp.int32), params, stats, opt, {"params": params, "stats": stats})


def like(trees, twin):
    """The twin's own arrays in the places of `trees`; zeros where it has none of the shape."""
    have = arrays(twin.state_dict())
    fits = lambda key, x: key in have and have[key].shape == x.shape
    fill = lambda key, x: have[key].astype(x.dtype) if fits(key, x) else np.zeros(x.shape, x.dtype)
    flat = [{key: fill(key, x) for key, x in flatten_dict(tree, sep=".").items()} for tree in trees]
    return tuple(unflatten_dict(each, sep=".") for each in flat)


def randomised(tree, rng):
    """In NumPy: the shape of every array would be compiled for."""

    def moved(path, x):
        if jnp.issubdtype(x.dtype, jnp.integer):
            return x + np.asarray(3, x.dtype)
        x = x + (0.5 * float(x.std()) or 0.1) * rng.normal(size=x.shape)
        return np.abs(x) if any(name in str(path[-1]) for name in POSITIVE) else x

    return jax.tree_util.tree_map_with_path(moved, tree)


def batches(family, steps):
    """Batches stacked along a leading time axis, uniform in the stated ranges; a stranger makes its own."""
    if hasattr(family, "batches"):
        return family.batches(steps)
    rng = np.random.default_rng(1)

    def make(x):
        shape = (steps, *x.shape)
        whole = np.issubdtype(np.dtype(x.dtype), np.integer)
        return rng.integers(int(x.low), int(x.high) + 1, shape, x.dtype) if whole else rng.uniform(x.low, x.high, shape)

    return {name: make(x) for name, x in family.inputs(ROWS * core.shares(family)).items()}


def sample_draws(family, key, count):
    """What samples are made of, as arrays: a sampler makes the noise of its steps of keys, which torch cannot."""
    draws = family.draw_sample(key, count)
    return family.written(draws) if hasattr(family, "written") else draws


def at(tree, i):
    return jax.tree.map(lambda x: x[i], tree)


def give(twin, params, stats):
    """Our weights to the twin, strictly."""
    twin.load_state_dict(jax.tree.map(tensor, weights.to_state_dict(params, stats)), strict=True)


def arrays(tensors):
    return {key: array(value) for key, value in tensors.items()}


def plain(tree):
    """A flat dict of our arrays as NumPy's."""
    return {key: np.asarray(x) for key, x in tree.items()}


def array(x):
    torch = needs("torch", "verify")
    x = x.detach().cpu()  # NumPy has no bfloat16
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy().copy()


def tensor(x):
    return needs("torch", "verify").from_numpy(np.array(x, order="C"))


def to_torch(family, tree, dtype=None, device=None):
    """NHWC -> NCHW for the leaves of which the family names a part of the path, and for the masks of images; floating
    leaves in `dtype`."""

    def convert(path, x):
        names = [str(getattr(part, "key", part)) for part in path]
        x = tensor(np.moveaxis(np.asarray(x), -1, -3) if is_image(family, names, x) else x)
        return x.to(device=device, dtype=dtype if x.is_floating_point() else None)

    return jax.tree_util.tree_map_with_path(convert, tree)


def is_image(family, names, x):
    return any(name in family.images for name in names) or ("masks" in names and x.ndim == 4)


def from_torch(x):
    """Images NCHW -> NHWC, all else as it is."""
    x = array(x)
    return np.moveaxis(x, -3, -1) if x.ndim == 4 else x


def back(family, path, x):
    """What `to_torch` converted, as it was."""
    x = array(x)
    return np.moveaxis(x, -3, -1) if is_image(family, path.split("."), x) else x


def updates(family, txs, steps=0):
    """The whole step, compiled with more care if it will be taken many times."""
    return quick(partial(core.update, family, txs), often=steps > MANY)


# Compiling is nearly all of the time, and the formulas are the same without the passes that make them fast.
QUICK: dict[str, bool | int] = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
if jax.__version_info__ < (0, 11):
    QUICK["xla_cpu_use_fusion_emitters"] = False  # a third of the time; later versions have only the emitters
OFTEN = QUICK | {"xla_backend_optimization_level": 1}


def quick(function, often=False):
    options = OFTEN if often else QUICK
    return jax.jit(function, compiler_options=options if jax.default_backend() == "cpu" else None)
