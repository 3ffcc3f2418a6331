"""Pairs that nobody here wrote: a PyTorch module and a port of it in stock Flax (NNX or Linen), or two functions.

Both become what a family and its twin are: the JAX side's weights are kept under torch's names and laid out by the
weight map inside of the differentiated program, so gradients, optimiser states and statistics come out under torch's
names too, and every level of the verification holds for them unchanged."""

import inspect
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import tree_util

from jaxgen.core import Player
from jaxgen.errors import UserError, needs

NET = "net"
PLAYERS = {NET: Player(trains=(NET,), moves=(NET,))}


class Pair(NamedTuple):
    """Made by `case`."""

    name: str
    torch: Any
    jax: Any
    inputs: Mapping[str, Any]
    loss: tuple[Callable, Callable] | None = None
    optimizers: tuple[Callable, Any] | None = None
    weights: Mapping[str, Any] | None = None
    images: tuple[str, ...] | None = None
    forwards: tuple[Callable | None, Callable | None] = (None, None)

    def __str__(self):
        return self.name

    def build(self):
        """-> the JAX side, the torch side in float64; both copies, so that a check changes nothing."""
        needs("torch", "verify")
        from jaxgen.parity.stranger_jax import beside
        from jaxgen.parity.stranger_torch import Theirs

        twin = Theirs(self)
        return beside(self, twin), twin


def case(
    torch: Any,  # a torch.nn.Module, or a function of tensors
    jax: Any,  # the port: an nnx.Module, a linen.Module, the pair (linen module, variables), or a function of arrays
    inputs: Mapping[str, Any],  # {argument: shape of random numbers, or an array}, rows first, images (N, C, H, W)
    *,
    name: str | None = None,  # what it is called in reports
    loss: tuple[Callable, Callable]
    | None = None,  # (torch, jax): (output, *inputs) -> scalar; else a random projection
    optimizers: tuple[Callable, Any] | None = None,  # (weights -> torch optimiser, optax transformation); else Adam
    weights: Mapping[str, Any] | None = None,  # overrides of the weight map (jaxgen.parity.maps.weight_map)
    images: tuple[str, ...]
    | None = None,  # the inputs that are images, (N, H, W, C) for the port; else all of four axes
    forwards: tuple[Callable | None, Callable | None] = (None, None),  # (module, *tensors), (model, *arrays) -> output
) -> Pair:
    """A case for `verify`. Outputs and layers of four axes are images, channels first in torch, last in the port."""
    for side, model in (("torch", torch), ("jax", jax)):
        if inspect.isclass(model) or not (callable(model) or isinstance(model, tuple)):
            raise UserError(f"case: {side}: expected a model, made, or a function, got {model!r}.")
    if not isinstance(inputs, Mapping) or not inputs:
        raise UserError(f"case: inputs: expected a dict such as {{'x': (8, 3, 32, 32)}}, got {inputs!r}.")
    given = {key: checked(key, value) for key, value in inputs.items()}
    rows = {key: (value if isinstance(value, tuple) else value.shape)[0] for key, value in given.items()}
    if len(set(rows.values())) > 1:
        raise UserError(
            f"case: inputs: every input has its rows along the first axis, as many as the others; got {rows}."
        )
    label = name or str(getattr(torch, "__name__", type(torch).__name__))
    return Pair(label, torch, jax, given, loss, optimizers, weights, images, forwards)


def checked(key, value):
    """A shape, or an array of numbers, floats in float64."""
    if isinstance(value, tuple):
        shape, odd = value, not all(isinstance(n, int) for n in value)
    else:
        value = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        value = value.astype(float) if jnp.issubdtype(value.dtype, jnp.floating) else value
        shape, odd = value.shape, value.dtype.kind not in "fiub"
    if odd or not shape or min(shape) < 1:
        told = f"{value!r}" if isinstance(value, tuple) else f"an array of {value.dtype} {shape}"
        raise UserError(f"case: inputs: {key!r}: expected a shape or an array of numbers, rows first, got {told}.")
    return value


@contextmanager
def running(pair, side):
    """A stranger's code may fail in any way; told in one line, with the cause behind it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        told = f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[0]}"
        raise UserError(f"{pair}: the {side} side does not run on these inputs ({told}).") from error


def projection(shape):
    """The weights of an output in the loss: the same random numbers on both sides."""
    return np.asarray(np.random.default_rng(len(shape)).normal(size=shape) / max(np.sqrt(np.prod(shape)), 1))


def leaves(out, to=lambda x: x):
    """{name: leaf} of whatever a model returns."""
    out = dict(out) if hasattr(out, "keys") else out
    told = tree_util.tree_flatten_with_path(out)[0]
    name = lambda path: ".".join(filter(None, ("output", tree_util.keystr(path, simple=True, separator="."))))
    return {name(path): to(x) for path, x in told}
