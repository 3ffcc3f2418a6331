"""A JAX model, whichever Flax it is written in: an nnx.Module, or the pair (linen module, variables)."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.errors import UserError
from jaxgen.parity.maps import linen_side, nnx_side
from jaxgen.parity.maps.layers import running

EVALUATION = {"train": False, "training": False, "is_training": False, "deterministic": True, "decode": False} | {
    "use_running_average": True
}


def side(model):
    """The functions for this kind of model."""
    for here in (nnx_side, linen_side):
        if here.holds(model):
            return here
    got = type(model).__name__
    raise UserError(f"weight map: expected an nnx.Module or the pair (linen module, variables), got a {got}.")


def take(model) -> dict[str, np.ndarray]:
    """{path: array} of all weights and statistics: "conv/kernel" in NNX, "params/Conv_0/kernel" in Linen."""
    return side(model).take(model)


def put(model, flat):
    """A copy of the model with these arrays, of the dtypes given: float64 inside jax.enable_x64(True) alone, and then
    NNX layers with a float type of their own take that too."""
    have = take(model)
    if unknown := sorted(flat.keys() - have.keys()):
        raise UserError(f"put: the model has no {unknown[0]}.")
    if wrong := [path for path, x in flat.items() if np.shape(x) != have[path].shape]:
        path = wrong[0]
        raise UserError(f"put: {path}: expected the shape {have[path].shape}, got {np.shape(flat[path])}.")
    return side(model).put(model, flat)


def double(model):
    """A copy in float64."""
    floats = {path: x.astype(float) for path, x in take(model).items() if jnp.issubdtype(x.dtype, jnp.floating)}
    return side(model).put(model, floats)


def call(model, *args):
    """The model in evaluation, by the names that people give to that switch."""
    here = side(model)
    module = here.module_of(model)
    known = inspect.signature(module.__call__).parameters
    how = {name: value for name, value in EVALUATION.items() if name in known and getattr(module, name, None) is None}
    return here.called(model, *args, **how)


def run(model, forward, inputs, paths, watch):
    """The leaves of what the forward returns, while `watch` answers every call of the layers at `paths`."""
    copy = side(model).evaluating(model)
    with running("JAX"), jax.disable_jit(), side(model).watched(copy, paths, watch):
        return [np.asarray(x) for x in jax.tree.leaves(forward(copy, *inputs))]
