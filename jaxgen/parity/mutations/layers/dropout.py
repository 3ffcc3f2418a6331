"""Dropout that is nearly torch's."""

from jaxgen import nn
from jaxgen.parity.mutations.planting import calls


def not_rescaled(layer: nn.Dropout):
    """dropout not rescaled: x * mask, without 1 / (1 - p)."""
    calls(layer, lambda right, self, x: x * self.mask(x.shape, self.p) if self.training else x)


def inverted_mask(layer: nn.Dropout):
    """dropout mask inverted: the mask says which are dropped."""
    calls(layer, lambda right, self, x: right(self, x, mask=lambda *how: ~self.mask(*how)))


def scaled_in_evaluation(layer: nn.Dropout):
    """dropout in evaluation: times 1 - p, as in the first paper (Srivastava et al., 2014)."""
    calls(layer, lambda right, self, x: right(self, x) if self.training else x * (1 - self.p))
