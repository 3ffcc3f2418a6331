"""The torch side of a stranger's pair as a twin. Imports torch."""

import copy
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode

from jaxgen.errors import UserError
from jaxgen.parity.maps import torch_side
from jaxgen.parity.pairs import tensor
from jaxgen.parity.strangers import NET, PLAYERS, leaves, projection, running

RATES = {  # where functions are told the rate of a dropout
    F.dropout: (1, "p"),
    F.dropout1d: (1, "p"),
    F.dropout2d: (1, "p"),
    F.dropout3d: (1, "p"),
    F.alpha_dropout: (1, "p"),
    F.feature_alpha_dropout: (1, "p"),
    F.scaled_dot_product_attention: (4, "dropout_p"),
    F.multi_head_attention_forward: (10, "dropout_p"),
}


class Tamed(TorchFunctionMode):
    """While it lasts, dropout lets everything pass, as a layer, as a function and inside of attention, and `rates` are
    noted; what is computed in float64 (`wide`) is nowhere narrowed to float32."""

    def __init__(self, rates, wide):
        super().__init__()
        self.rates, self.wide = rates, wide

    def __torch_function__(self, function, types, args=(), kwargs=None):
        args, kwargs = list(args), dict(kwargs or {})
        if function in RATES:
            place, name = RATES[function]
            where, key = (args, place) if len(args) > place else (kwargs, name)
            rate = args[place] if where is args else kwargs.get(name)
            self.rates += [rate] if rate and kwargs.get("training", True) else []
            where[key] = 0.0
        if self.wide:
            function = torch.Tensor.double if function is torch.Tensor.float else function
            args = [torch.float64 if x is torch.float32 else x for x in args]
            kwargs = {key: torch.float64 if x is torch.float32 else x for key, x in kwargs.items()}
        return function(*args, **kwargs)


@contextmanager
def tamed(rates, wide):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if wide else before)
    try:
        with Tamed(rates, wide):
            yield
    finally:
        torch.set_default_dtype(before)


class Function(nn.Module):
    """A function as a module without weights."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


class Theirs(nn.Module):
    """A copy of the stranger's module in float64, as the net of a family of one player. `rates` are those of its
    dropouts, call by call."""

    players = PLAYERS

    def __init__(self, pair):
        super().__init__()
        if isinstance(pair.jax, nn.Module):
            raise UserError(f"{pair}: the port is a PyTorch module. Give case(torch, jax, inputs) in this order.")
        module = copy.deepcopy(pair.torch) if isinstance(pair.torch, nn.Module) else Function(pair.torch)
        self.net, self.pair, self.rates = module.cpu().double(), pair, []
        self.aliases = torch_side.layers(self.net)[1]

    def try_out(self, inputs):
        """One run of a copy, in training: what the rates are, and whether there is something to be compared."""
        twin, args = copy.deepcopy(self).train(), {key: tensor(x) for key, x in inputs.items()}
        floats = {key: x.requires_grad_() for key, x in args.items() if x.is_floating_point()}
        loss, _ = twin.net_loss(args, {}, self.rates)
        loss.backward()
        slopes = {key: x.grad for key, x in {**floats, **dict(twin.named_parameters())}.items() if x.grad is not None}
        if odd := [key for key, x in slopes.items() if not x.isfinite().all()] or ["any"] * (not loss.isfinite()):
            raise UserError(
                f"{self.pair}: in PyTorch the loss is {loss.item():.3g}, its gradient by {odd[0]} is not finite: any "
                "port would seem right. Give inputs as arrays, such as the model is made for."
            )
        self.still()

    def still(self):
        """A layer that is run by itself drops nothing either."""
        for path, layer in [*self.named_modules(remove_duplicate=False)]:
            if isinstance(layer, _DropoutNd):
                self.set_submodule(path, nn.Identity())
            if isinstance(layer, nn.MultiheadAttention):
                layer.dropout = 0.0

    def load_state_dict(self, state_dict, strict=True):
        """What the port has not stays as it is; a tied tensor follows its first name."""
        full = {**self.state_dict(), **state_dict}
        full |= {f"{NET}.{name}": full[f"{NET}.{first}"] for name, first in self.aliases.items()}
        return super().load_state_dict(full, strict)

    def optimizers(self, lr):
        weights = list(self.parameters())
        make = self.pair.optimizers[0] if self.pair.optimizers else lambda weights: torch.optim.Adam(weights, lr)
        return {NET: make(weights)}

    def net_loss(self, batch, draws, rates=None):
        given = [batch[key] for key in self.pair.inputs]  # a batch that JAX has seen is in the order of the alphabet
        args, forward = [x.clone() for x in given], self.pair.forwards[0]  # a layer may work in place
        floats = {x.dtype for x in (*self.parameters(), *args) if x.is_floating_point()}
        with running(self.pair, "PyTorch"), tamed([] if rates is None else rates, floats <= {torch.float64}):
            out = forward(self.net, *args) if forward else self.net(*args)
            if not (told := leaves(out, as_floats)):
                raise UserError(f"{self.pair}: the PyTorch side returns no array: there is nothing to compare.")
            loss = self.pair.loss[0](out, *given) if self.pair.loss else projected(told)
        graph = torch.zeros(
            (), dtype=loss.dtype, device=loss.device, requires_grad=True
        )  # whatever the loss depends on
        return loss + graph, {"loss": loss, **told}


def as_floats(x):
    """Complex numbers by their parts."""
    x = torch.as_tensor(x)
    x = torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
    return x if x.is_floating_point() else x.double()


def projected(told):
    """What is not finite is compared, but not learned from."""
    kept = (torch.where(x.isfinite(), x, 0.0) for x in told.values())
    return sum((x * torch.from_numpy(projection(x.shape)).to(x)).sum() for x in kept)
