"""Pairs that nobody here wrote: a PyTorch module and a port of it in stock Flax (NNX or Linen), or two functions.

Both become what a family and its twin are: the JAX side's weights are kept under torch's names and laid out by the
weight map inside of the differentiated program, so gradients, optimiser states and statistics come out under torch's
names too, and every level of the verification holds for them unchanged."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxgen.errors import UserError, needs


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
        from jaxgen.parity.stranger_jax import Ours
        from jaxgen.parity.stranger_torch import Theirs

        twin = Theirs(self)
        return Ours(self, twin), twin


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
    if not isinstance(inputs, Mapping) or not inputs:
        raise UserError(f"case: inputs: expected a dict such as {{'x': (8, 3, 32, 32)}}, got {inputs!r}.")
    given = {key: value if isinstance(value, tuple) else np.asarray(value) for key, value in inputs.items()}
    rows = {key: value[0] if isinstance(value, tuple) else value.shape[:1] or None for key, value in given.items()}
    if None in rows.values():
        odd = next(key for key, count in rows.items() if count is None)
        raise UserError(f"case: inputs: {odd!r} is a scalar. Every input has its rows along the first axis.")
    return Pair(name or type(torch).__name__, torch, jax, given, loss, optimizers, weights, images, forwards)
