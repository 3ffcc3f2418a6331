"""The one border between Flax NNX and the pure code: a family becomes init, apply, loss, draw and sample over plain
dicts of arrays. But for `nn.slopes`, nothing else knows how NNX stores things."""

import inspect
from functools import partial
from zlib import crc32

import jax
import jax.numpy as jnp
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen import nn


def named(key, *names):
    """A key of its own for each name, whatever else is drawn."""
    return jax.random.fold_in(key, crc32(".".join(map(str, names)).encode()))


class Functional:
    """`module` holds no arrays, only the functions that make them; its other attributes are reached through here.
    `compute` is the type of the products in training (`precision.py`); None is that of the weights."""

    def __init__(self, module, compute=None):
        self.module, self.compute = module, compute
        self.graphdef, *recipes = nnx.split(module, nnx.Param, nnx.BatchStat)
        self.recipes = [flatten_dict(nnx.to_pure_dict(tree)) for tree in recipes]
        layers = [layer for _, layer in nnx.iter_modules(module)]
        self.drops = any(isinstance(layer, nn.Dropout) for layer in layers)
        self.normalises = any(isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) for layer in layers)  # by the batch

    def __getattr__(self, name):
        return getattr(self.module, name)

    def init(self, key):
        """-> params, stats: each array from its recipe and a key made of its path, so that a layer more or less changes
        no other layer's initial values."""
        made = [{path: make(named(key, *path)) for path, make in tree.items()} for tree in self.recipes]
        return tuple(map(unflatten_dict, made))

    def aliases(self, net):
        """Other names under which a file may hold the tensors of a net."""
        return getattr(getattr(self.module, net), "aliases", {})

    def apply(self, params, stats, *args, method="__call__", train=True, mask=None, compute=None):
        """-> result, stats. `mask(path, shape, p)` answers each call of a Dropout."""
        module = nnx.merge(self.graphdef, params, stats)
        for path, layer in nnx.iter_modules(module):
            layer.path, layer.training, layer.compute = ".".join(map(str, path)), train, compute
            layer.mask = partial(mask, layer.path) if mask else None
        result = getattr(module, method)(*args)
        return result, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

    def loss(self, player, params, stats, batch, draws, train=True):
        """-> loss, (metrics, stats). An evaluation is never narrowed, nor is what a family returns."""
        waiting = {path: iter(masks) for path, masks in draws["masks"][player].items()}
        mask = lambda path, shape, p: next(waiting[path])
        how = dict(method=f"{player}_loss", train=train, mask=mask, compute=self.compute if train else None)
        told, stats = self.apply(params, stats, batch, draws, **how)
        loss, metrics = jax.tree.map(nn.full, told)
        return loss, (metrics, stats)

    def sample(self, params, stats, draws, frames=0):
        """Images, in evaluation: running statistics are used and stay as they are. `frames` is for families that make
        them in steps."""
        more = (frames,) if frames else ()
        return self.apply(params, stats, draws, *more, method="sample", train=False)[0]

    def draw(self, key, batch, step=None):
        """All randomness of one step: the family's draws, and for each player the masks its loss will ask for.

        Only the shapes of `batch` are read. `step` is for families that ask for it; an evaluation has none."""
        own, ours = jax.random.split(key)
        asked = {"step": step} if "step" in inspect.signature(self.module.draw).parameters else {}
        draws = self.module.draw(own, batch, **asked)
        masks = {player: self.draw_masks(named(ours, player), player, batch, draws) for player in self.module.players}
        return {**draws, "masks": masks}

    def draw_masks(self, key, player, batch, draws):
        """{path: one mask for each call}; tracing the loss once, without computing anything, tells which are needed."""
        if not self.drops:
            return {}
        asked = {}

        def ask(path, shape, p):
            asked.setdefault(path, []).append((1 - p, shape))
            return jnp.ones(shape, bool)

        trace = partial(self.apply, method=f"{player}_loss", mask=ask)
        jax.eval_shape(trace, *jax.eval_shape(self.init, key), batch, draws)
        make = lambda path, calls: [jax.random.bernoulli(named(key, path, i), *call) for i, call in enumerate(calls)]
        return {path: make(path, calls) for path, calls in asked.items()}
