"""A weight map as gathers, which JAX can trace and differentiate: where each element of one side stands in the
other."""

from math import prod

import jax.numpy as jnp
import numpy as np

from jaxgen.parity.maps.weight_map import numbered


class Layout:
    """`dropped`: the tensors that the port has not, with the reason."""

    def __init__(self, weights):
        numbers = numbered(weights.torch)
        aliases = {rule.torch[0]: rule.same_as for rule in weights.rules if rule.same_as}
        places = weights.to_jax(numbers | {name: numbers[first] for name, first in aliases.items()})
        # JAX keeps a NumPy index by identity, with the type it first had; this one is the same in and out of float64
        narrow = lambda tree: {name: x.astype(np.int32) for name, x in tree.items()}
        self.to_jax, self.to_torch = narrow(places), narrow(weights.to_torch(numbered(weights.jax)))
        self.torch, self.jax = weights.torch, weights.jax
        self.fixed = {path: rule.fill for rule in weights.rules if rule.fill is not None for path in rule.jax}
        self.dropped = {rule.torch[0]: rule.reason or rule.text for rule in weights.rules if not rule.jax}

    def jax_arrays(self, tensors):
        """{path: array} of the port from {name: array} under torch's names."""
        dtype = jnp.result_type(*tensors.values())
        flat = lambda name, shape: jnp.ravel(tensors[name]) if name in tensors else jnp.zeros(prod(shape), dtype)
        values = jnp.concatenate([flat(name, shape) for name, shape in self.torch.items()])
        fill = lambda path, index: jnp.full(index.shape, self.fixed[path], dtype)
        return {path: fill(path, x) if path in self.fixed else values[x] for path, x in self.to_jax.items()}

    def torch_arrays(self, arrays, names):
        """{name: array} from what the port holds after a run."""
        values = jnp.concatenate([jnp.ravel(arrays[path]) for path in self.jax])
        return {name: values[self.to_torch[name]] for name in names}
