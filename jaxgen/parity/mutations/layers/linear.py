"""Products that are nearly torch's."""

from jaxgen import nn
from jaxgen.parity.mutations.planting import calls


def not_transposed(layer: nn.Linear):
    """weight not transposed: (out, in) taken for (in, out), of the right shape if it is square."""
    rows, columns = layer.weight.get_value().shape
    if rows != columns or rows == 1:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, weight=self.weight[...].T))


def bias_missing(layer: nn.Linear):
    """bias missing: use_bias=False copied from another layer."""
    if layer.bias is None:
        return NotImplemented
    calls(layer, lambda right, self, x: right(self, x, bias=None))
