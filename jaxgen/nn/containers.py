"""Containers whose paths read like torch's: layers are attributes "0", "1", ...; and the layer that does nothing."""

from flax import nnx


def put(self, layers):
    self.length = len(layers)
    for i, layer in enumerate(layers):
        setattr(self, str(i), layer)


class ModuleList(nnx.Module):
    def __init__(self, layers):
        put(self, layers)

    def __len__(self):
        return self.length

    def __iter__(self):
        return (getattr(self, str(i)) for i in range(self.length))

    def __getitem__(self, i):
        return list(self)[i]


class Sequential(nnx.Module):
    """One layer after the other; a slice is the same layers as a Sequential of its own, as in torch."""

    def __init__(self, *layers):
        put(self, layers)

    def __len__(self):
        return self.length

    def __iter__(self):
        return (getattr(self, str(i)) for i in range(self.length))

    def __getitem__(self, i):
        return Sequential(*list(self)[i]) if isinstance(i, slice) else list(self)[i]

    def __call__(self, x):
        for layer in self:
            x = layer(x)
        return x


class Identity(nnx.Module):
    """Stands where another net has a layer."""

    def __call__(self, x):
        return x
