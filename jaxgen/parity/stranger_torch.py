"""The torch side of a stranger's pair as a twin. Imports torch."""

import copy

import jax
import numpy as np
import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from jaxgen.core import Player
from jaxgen.parity.maps import torch_side

NET = "net"
PLAYERS = {NET: Player(trains=(NET,), moves=(NET,))}


def projection(shape):
    """The weights of an output in the loss: the same random numbers on both sides."""
    return np.random.default_rng(len(shape)).normal(size=shape) / max(np.sqrt(np.prod(shape)), 1)


def leaves(out, to=lambda x: x):
    """{name: leaf} of whatever a model returns."""
    out = dict(out) if hasattr(out, "keys") else out
    told = jax.tree_util.tree_flatten_with_path(out)[0]
    return {"output" + jax.tree_util.keystr(path, simple=True, separator="."): to(x) for path, x in told}


class Function(nn.Module):
    """A function as a module without weights."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


class Theirs(nn.Module):
    """A copy of the stranger's module in float64, as the net of a family of one player."""

    players = PLAYERS

    def __init__(self, pair):
        super().__init__()
        module = copy.deepcopy(pair.torch) if isinstance(pair.torch, nn.Module) else Function(pair.torch)
        self.net, self.pair = module.double(), pair
        self.aliases = torch_side.layers(self.net)[1]
        drops = {path: layer for path, layer in self.net.named_modules() if isinstance(layer, _DropoutNd)}
        self.rates = [layer.p for layer in drops.values() if layer.p]
        for path in drops:
            self.net.set_submodule(path, nn.Identity())

    def load_state_dict(self, state_dict, strict=True):
        """What the port has not stays as it is; a tied tensor follows its first name."""
        full = {**self.state_dict(), **state_dict}
        full |= {f"{NET}.{name}": full[f"{NET}.{first}"] for name, first in self.aliases.items()}
        return super().load_state_dict(full, strict)

    def optimizers(self, lr):
        weights = list(self.parameters())
        make = self.pair.optimizers[0] if self.pair.optimizers else lambda weights: torch.optim.Adam(weights, lr)
        return {NET: make(weights)}

    def net_loss(self, batch, draws):
        args, forward = list(batch.values()), self.pair.forwards[0]
        out = forward(self.net, *args) if forward else self.net(*args)
        told = leaves(out, lambda x: x if x.is_floating_point() else x.double())
        if self.pair.loss:
            loss = self.pair.loss[0](out, *args)
        else:
            loss = sum((x * torch.from_numpy(projection(x.shape)).to(x)).sum() for x in told.values())
        nothing = sum(0 * x.sum() for x in args if x.is_floating_point())  # a graph, whatever the output depends on
        return loss + nothing, {"loss": loss, **told}
