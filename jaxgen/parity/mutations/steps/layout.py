"""Images flattened in another order than torch's, outside of layers too."""

from jaxgen.nn import spatial
from jaxgen.parity.mutations.planting import Replaced


def flattened_channels_last(family):
    """x.reshape(N, -1) of an image whose channels stand last."""
    return Replaced(spatial, "flatten", lambda right: lambda x: x.reshape(x.shape[0], -1))


def unflattened_channels_last(family):
    """x.reshape(N, H, W, C), where torch reads (C, H, W)."""
    return Replaced(spatial, "unflatten", lambda right: lambda x, size: x.reshape(x.shape[0], *size[1:], size[0]))
