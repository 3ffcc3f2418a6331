"""Weight maps between a PyTorch module and a port in stock Flax (NNX or Linen): found, explained, strict, invertible.

weights = weight_map(torch_module, jax_model, inputs=(images,))
model = put(jax_model, weights.to_jax(torch_module.state_dict()))
"""

from jaxgen.parity.maps.algebra import flip, fold_chw, join, permute, reshape, split, stack, unstack
from jaxgen.parity.maps.find import weight_map
from jaxgen.parity.maps.models import put, take
from jaxgen.parity.maps.overrides import constant
from jaxgen.parity.maps.weight_map import Rule, WeightMap

__all__ = [
    "Rule", "WeightMap", "constant", "flip", "fold_chw", "join", "permute", "put", "reshape", "split", "stack", "take",
    "unstack", "weight_map",
]  # fmt: skip
