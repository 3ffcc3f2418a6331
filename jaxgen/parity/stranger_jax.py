"""The JAX side of a stranger's pair as a family: its weights under torch's names, laid out by the weight map inside of
the program, so whatever is differentiated or averaged stays under torch's names."""

import copy
import inspect
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.errors import UserError
from jaxgen.parity import maps, pairs
from jaxgen.parity.layout import Layout
from jaxgen.parity.maps import linen_side, nnx_side, torch_side
from jaxgen.parity.maps.layers import channels_last
from jaxgen.parity.stranger_torch import NET, PLAYERS, leaves, projection

DROPOUT = "its masks cannot be shared with stock layers: both sides ran without it, and its rates are compared"
TRAINING = {"train": True, "training": True, "is_training": True, "deterministic": False, "use_running_average": False}


class Ours:
    """`twin` is the torch side of the same pair."""

    players, optimizer = PLAYERS, None

    def __init__(self, pair, twin):
        self.pair, self.compute, self.keep, self.rates = pair, None, None, []
        self.fixed = {key: random(value) if isinstance(value, tuple) else value for key, value in pair.inputs.items()}
        self.images = tuple(key for key, x in self.fixed.items() if x.ndim == 4) if pair.images is None else pair.images
        self.model = ready(pair.jax, list(self.laid(self.fixed).values()))
        self.layers, self.map, self.layout = torch_side.layers(twin.net)[0], None, None
        if self.holds_arrays:
            forwards = dict(zip(("torch_forward", "jax_forward"), pair.forwards, strict=True))
            self.map = maps.weight_map(twin.net, self.model, list(self.fixed.values()), pair.weights, **forwards)
            self.layout = Layout(self.map)
        self.paths = {path: name for name, path in self.map.layers.items()} if self.map else {}
        self.tapped = {f"{NET}.{name}" for name in self.paths.values() if name}
        self.dropped = {f"{NET}.{name}": why for name, why in self.layout.dropped.items()} if self.layout else {}
        self.start = self.trees(twin)
        self.compare_rates(twin)

    @property
    def holds_arrays(self):
        return isinstance(self.model, nnx.Module | tuple)

    def laid(self, inputs):
        """Channels last."""
        return {key: np.moveaxis(x, -3, -1) if key in self.images else x for key, x in inputs.items()}

    def trees(self, twin):
        """-> params, stats of the tensors that the port has too."""
        learned = {key for key, _ in twin.named_parameters()}
        have = {key: x for key, x in pairs.arrays(twin.state_dict()).items() if key not in self.dropped}
        parts = [{key: x for key, x in have.items() if (key in learned) == wanted} for wanted in (True, False)]
        return tuple(unflatten_dict(part, sep=".") for part in parts)

    def compare_rates(self, twin):
        """Tracing the port once tells the rates of its dropouts, and whether it takes these inputs at all."""
        given = {"batch": pairs.at(self.batches(1), 0), "draws": self.draw(None, None)}
        trace = lambda params, stats, given: self.loss(NET, params, stats, given["batch"], given["draws"])
        jax.eval_shape(trace, *self.start, given)
        if sorted(self.rates) != sorted(twin.rates):
            raise UserError(f"{self.pair.name}: dropout: torch has the rates {twin.rates}, the port {self.rates}.")
        if self.rates:
            self.dropped["dropout"] = DROPOUT

    def given(self):
        """The inputs as the port takes them."""
        return [jnp.asarray(x) for x in self.laid(self.fixed).values()]

    def switches(self, train, module=None):
        """What the call of the model, or of a layer of it, names the mode."""
        return switches(module or (self.model[0] if isinstance(self.model, tuple) else self.model), train)

    def init(self, key):
        return jax.tree.map(jnp.asarray, self.start)

    def inputs(self, count):
        return {}

    def batches(self, count):
        """Stacked along a leading axis: random numbers anew, arrays as they are given."""
        make = lambda i: {key: random(x, i) if isinstance(x, tuple) else x for key, x in self.pair.inputs.items()}
        return self.laid({key: np.stack([make(i)[key] for i in range(count)]) for key in self.fixed})

    def draw(self, key, batch):
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
        tensors, args = jax.tree.map(narrow, (tensors, [jnp.asarray(x) for x in batch.values()]))
        out, arrays = self.run(self.layout.jax_arrays(tensors) if self.layout else {}, args, train)
        told = leaves(out, lambda x: self.told(x))
        if self.pair.loss:
            loss = self.pair.loss[1](out, *args)
        else:
            loss = sum((x * jnp.asarray(projection(x.shape), x.dtype)).sum() for x in told.values())
        moved = flatten_dict(stats.get(NET, {}), sep=".")
        moved = self.layout.torch_arrays(arrays, moved) if moved and train else moved
        return loss, ({"loss": loss, **told}, {NET: unflatten_dict(moved, sep=".")} if moved else {})

    def told(self, x):
        """An output as torch has it."""
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(float)
        return jnp.moveaxis(x, -1, 1) if x.ndim == 4 and self.pair.images != () else x

    def run(self, arrays, args, train):
        """-> output, {path: array} of all arrays afterwards."""
        self.rates.clear()
        if not self.holds_arrays:
            return self.pair.jax(*args), {}
        model = maps.put(self.model, arrays)
        return (run_nnx if isinstance(model, nnx.Module) else run_linen)(self, model, args, train)

    def watch(self, path, module, inputs, compute):
        if isinstance(module, nnx.Dropout | linen.Dropout):
            self.rates += [module.rate] if module.rate else []
            return inputs[0]
        result = compute()
        if self.keep and self.paths.get(path):
            self.keep(f"{NET}.{self.paths[path]}", jax.tree.leaves(result)[0])
        return result

    def laid_output(self, path, x):
        """What a torch layer gives, as its partner does."""
        return channels_last(self.layers[path.removeprefix(f"{NET}.")], pairs.array(x))


def random(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def ready(model, args):
    """A model of arrays: Linen's are made on the inputs."""
    if not isinstance(model, linen.Module):
        return model
    how = switches(model, train=False)
    with jax.enable_x64(True):
        return model, jax.jit(lambda key: model.init(key, *map(jnp.asarray, args), **how))(jax.random.key(0))


def switches(module, train):
    """What the call of a model names the mode."""
    known = inspect.signature(module.__call__).parameters
    return {
        name: value if train else not value
        for name, value in TRAINING.items()
        if name in known and getattr(module, name, None) is None
    }


def forwarded(self, module, model, args, how):
    own = self.pair.forwards[1]
    return own(model, *args) if own else module(*args, **how)


def run_nnx(self, model, args, train):
    model.train() if train else model.eval()
    dropouts = {nnx_side.join(path) for path, one in nnx.iter_modules(model) if isinstance(one, nnx.Dropout)}
    with nnx_side.watched(model, self.paths.keys() | dropouts, self.watch):
        out = forwarded(self, model, model, args, switches(model, train))
    return out, {path: x[...] for path, x in nnx_side.flat_state(model).items()}


def run_linen(self, model, args, train):
    module, variables = model
    how = switches(module, train)
    with linen_side.watched(model, None, self.watch):
        if self.pair.forwards[1]:
            return self.pair.forwards[1](model, *args), linen_side.flat_variables(variables)
        changing = [name for name in variables if name != "params"]
        out, moved = module.apply(variables, *args, mutable=changing if train else [], **how)
    return out, linen_side.flat_variables({**variables, **moved})
