"""The JAX side of a stranger's pair as a family: its weights under torch's names, laid out by the weight map inside of
the program, so whatever is differentiated or averaged stays under torch's names."""

import copy
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.core import Player
from jaxgen.errors import UserError
from jaxgen.parity import maps, pairs
from jaxgen.parity.layout import Layout
from jaxgen.parity.maps import torch_side
from jaxgen.parity.maps.context import refold
from jaxgen.parity.maps.layers import channels_last
from jaxgen.parity.stranger_run import ATTENTION, DROPOUT, active_rate, holds_arrays, ready, run, switches
from jaxgen.parity.strangers import NET, PLAYERS, leaves, projection, running

DROPPED = "its masks cannot be shared with stock layers: both sides ran without it, and its rates are compared"


def beside(pair, twin):
    """-> Ours, of the weights of `twin`, the torch side of the same pair."""
    fixed = made(pair, 0)
    twin.try_out(fixed)
    with running(pair, "JAX"):
        given = list(laid(pair, fixed).values())
        model = ready(pair.jax, given)
    found = None
    if holds_arrays(model):
        forwards = dict(zip(("torch_forward", "jax_forward"), pair.forwards, strict=True), jax_inputs=given)
        found = maps.weight_map(twin.net, model, list(fixed.values()), pair.weights, **forwards)
    elif weight := next((name for name, _ in twin.net.named_parameters()), None):
        raise UserError(f"{pair}: torch has weights ({weight}), the port is a function, which has none.")
    learned = {key for key, _ in twin.named_parameters()}
    missing = Layout(found).dropped if found else dict.fromkeys(twin.net.state_dict(), "the port is a function")
    dropped = {f"{NET}.{name}": why for name, why in missing.items()}
    tensors = {key: x for key, x in pairs.arrays(twin.state_dict()).items() if key not in dropped}
    start = trees(tensors, tensors.keys() - learned)
    return Ours(pair, model, found, start, twin.rates, dropped, torch_side.layers(twin.net)[0])


def made(pair, i):
    """The inputs of the step i, in torch's layout: random numbers anew, arrays as they are given."""
    given = enumerate(pair.inputs.items())
    return {key: random(x, (i, k)) if isinstance(x, tuple) else x for k, (key, x) in given}


def images_of(pair):
    """The names of the inputs whose channels are last for the port."""
    if pair.images is not None:
        return pair.images
    return tuple(key for key, x in pair.inputs.items() if len(x if isinstance(x, tuple) else x.shape) == 4)


def laid(pair, inputs):
    """Channels last."""
    return {key: np.moveaxis(x, -3, -1) if key in images_of(pair) else x for key, x in inputs.items()}


def trees(tensors, statistics):
    """-> params, stats."""
    parts = [{key: x for key, x in tensors.items() if (key in statistics) == wanted} for wanted in (False, True)]
    return tuple(unflatten_dict(part, sep=".") for part in parts)


class Ours:
    """`model` with weights `start`, (params, stats) under torch's names, laid out by the map `found` (None: a function,
    which has none); `rates` of torch's dropouts; `dropped` {torch's name: why the port has none}; `layers` of torch."""

    optimizer = None

    def __init__(self, pair, model, found, start, rates, dropped, layers):
        self.pair, self.model, self.map, self.start, self.layers = pair, model, found, start, layers
        self.compute, self.keep, self.rates, self.dropped = None, None, [], dict(dropped)
        self.fixed, self.images = made(pair, 0), images_of(pair)
        self.layout = Layout(found) if found else None
        self.paths = {path: name for name, path in found.layers.items()} if found else {}
        self.tapped = {f"{NET}.{name}" for name in self.paths.values() if name}
        self.compare_rates(list(rates))

    @property
    def players(self):
        """Two functions learn nothing."""
        return PLAYERS if any(self.start) else {NET: Player(())}

    def compare_rates(self, wanted):
        """Tracing the port once tells the rates of its dropouts, and whether it takes these inputs at all."""
        given = {"batch": pairs.at(self.batches(1), 0), "draws": self.draw(None, None)}
        trace = lambda params, stats, given: self.loss(NET, params, stats, given["batch"], given["draws"])
        jax.eval_shape(trace, *self.start, given)
        if sorted(self.rates) != sorted(wanted):
            raise UserError(
                f"{self.pair}: dropout, call by call: torch has the rates {wanted}, the port {self.rates}. Make "
                "them agree, or set them to 0 on both sides to verify the rest."
            )
        if self.rates:
            self.dropped["dropout"] = DROPPED

    def given(self):
        """The inputs as the port takes them."""
        return [jnp.asarray(x) for x in laid(self.pair, self.fixed).values()]

    def switches(self, train, module=None):
        """What the call of the model, or of a layer of it, names the mode; attention drops nothing."""
        how = switches(module or (self.model[0] if isinstance(self.model, tuple) else self.model), train)
        return how | {"deterministic": True} if isinstance(module, ATTENTION) else how

    def init(self, key):
        return jax.tree.map(jnp.asarray, self.start)

    def odd(self, given):
        """Images of a row and a column less."""
        fewer = lambda key, x: x[:, :-1, :-1] if key in self.images else x
        return given | {"batch": {key: fewer(key, x) for key, x in given["batch"].items()}}

    def inputs(self, count):
        return {}

    def batches(self, count):
        """Stacked along a leading axis."""
        each = [made(self.pair, i) for i in range(count)]
        return laid(self.pair, {key: np.stack([one[key] for one in each]) for key in self.fixed})

    def draw(self, key, batch, step=None):
        return {"masks": {NET: {}}}

    def optimizers(self, lr):
        return {NET: self.pair.optimizers[1] if self.pair.optimizers else optax.adam(lr)}

    def cast(self, compute):
        """The same in another precision."""
        other = copy.copy(self)
        other.compute = compute
        return other

    @contextmanager
    def tapping(self, keep):
        self.keep = keep
        try:
            yield
        finally:
            self.keep = None

    def loss(self, player, params, stats, batch, draws, train=True):
        tensors = {**flatten_dict(params.get(NET, {}), sep="."), **flatten_dict(stats.get(NET, {}), sep=".")}
        narrow = lambda x: x.astype(self.compute) if self.compute and jnp.issubdtype(x.dtype, jnp.floating) else x
        tensors, args = jax.tree.map(narrow, (tensors, [jnp.asarray(batch[key]) for key in self.pair.inputs]))
        with running(self.pair, "JAX"):
            out, arrays = self.run(self.layout.jax_arrays(tensors) if self.layout else {}, args, train)
            told = leaves(out, self.told)
            loss = self.pair.loss[1](out, *args) if self.pair.loss else projected(told)
        moved = flatten_dict(stats.get(NET, {}), sep=".")
        moved = self.layout.torch_arrays(arrays, moved) if moved and train else moved
        return loss, ({"loss": loss, **told}, {NET: unflatten_dict(moved, sep=".")} if moved else {})

    def told(self, x):
        """An output as torch has it, as floats; complex numbers by their parts."""
        x = jnp.asarray(x)
        x = jnp.moveaxis(x, -1, 1) if x.ndim == 4 and self.pair.images != () else x
        x = jnp.stack([x.real, x.imag], -1) if jnp.iscomplexobj(x) else x
        return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)

    def run(self, arrays, args, train):
        """-> output, {path: array} of all arrays afterwards."""
        self.rates.clear()
        model = maps.put(self.model, arrays) if self.layout else self.model
        return run(model, self.pair.forwards[1], args, train, self.paths.keys(), self.watch)

    def watch(self, path, module, inputs, compute):
        if isinstance(module, DROPOUT | ATTENTION):
            self.rates += filter(None, [active_rate(module, inputs)])
        if isinstance(module, DROPOUT):
            return inputs[0]
        result = compute()
        if self.keep and self.paths.get(path):
            self.keep(f"{NET}.{self.paths[path]}", jax.tree.leaves(result)[0])
        return result

    def laid_output(self, path, x):
        """What a torch layer gives, as its partner does, features in the partner's order."""
        name = path.removeprefix(f"{NET}.")
        return refold(self.map.gives.get(name), channels_last(self.layers[name], pairs.array(x)))


def random(shape, seed):
    return np.random.default_rng(seed).normal(size=shape)


def projected(told):
    """What is not finite is compared, but not learned from."""
    kept = (jnp.where(jnp.isfinite(x), x, 0.0) for x in told.values())
    return sum((x * jnp.asarray(projection(x.shape), x.dtype)).sum() for x in kept)
