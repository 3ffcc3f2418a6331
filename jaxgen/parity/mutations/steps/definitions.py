"""Names, shapes, types and arguments that are not the twin's."""

from jaxgen import nn
from jaxgen.nn.arrays import fan_in
from jaxgen.parity.mutations.planting import Replaced


def another_default(family):
    """The learning rate of another recipe as the default."""
    cls = type(family.module)

    def make(right):
        def optimizers(self, lr: float = 3e-4, **how):
            return right(self, lr, **how)

        return optimizers

    return Replaced(cls, "optimizers", make)


def built(cls, change):
    """Every layer of the class, edited by `change` once it is made."""

    def make(right):
        def init(self, *args, **how):
            right(self, *args, **how)
            change(self)

        return init

    return Replaced(cls, "__init__", make)


def key_missing(family):
    """num_batches_tracked, which Flax's BatchNorm has not."""
    return built(nn.BatchNorm2d, lambda layer: delattr(layer, "num_batches_tracked"))


def key_more(family):
    """A gain beside the weight, as in a weight norm."""
    return built(nn.Linear, lambda layer: setattr(layer, "gain", nn.constant(1.0, layer.features)))


def key_renamed(family):
    """kernel for weight, as Flax names it."""

    def change(layer):
        layer.kernel = layer.weight
        del layer.weight

    return built(nn.Linear, change)


def kernel_transposed(family):
    """A weight of the shape (in, out), as Flax keeps it."""

    def change(layer):
        rows, columns = layer.weight.get_value().shape
        layer.weight = fan_in(columns, rows)

    return built(nn.Linear, change)


def counted_in_floats(family):
    """num_batches_tracked as a float, as all other statistics are."""

    def change(layer):
        kind = type(layer.num_batches_tracked)
        layer.num_batches_tracked = nn.constant(0, kind=kind, dtype=float)

    return built(nn.BatchNorm2d, change)
