"""The networks of the diffusion families against their twins in float64, every weight away from its initial value."""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax.traverse_util import flatten_dict

import torch_ref.backbones
import torch_ref.core
from jaxgen import backbones
from jaxgen.functional import Functional
from jaxgen.parity import compare as gates
from jaxgen.parity import pairs

torch.set_num_threads(1)  # the tensors are small: threads would only wait for each other


class Case(NamedTuple):
    name: str
    size: int
    rows: int = 2
    channels: int = 1
    classes: int = 0
    context: int = 0
    dropout: float = 0.0

    def built(self, build):
        return build(self.name, self.size, self.channels, 8, self.classes, self.context, self.dropout)


CASES = [
    Case("documented", 8),
    Case("documented", 11, rows=1, channels=2),
    Case("unet", 8),
    Case("unet", 7, rows=1, channels=2, classes=3, context=5, dropout=0.3),
    Case("dit", 8),
    Case("dit", 6, rows=1, channels=2, classes=3, context=5, dropout=0.3),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_network_is_its_twin(case):
    assert_same(case, torch_ref.backbones.build)


def assert_same(case, build):
    params, free, fixed, masks, have = here(case)
    twin = case.built(build).double()
    pairs.give(twin, params, {})
    want = there(twin, free, fixed, masks)
    grads = {name: x for name, x in want.items() if name != "y"}
    assert all(np.abs(x).max() > 0 for x in grads.values()), "a gradient that tells nothing"
    floor = 1e-4 * gates.largest(grads)  # some are zero but for rounding
    for level, names, least in (("outputs", {"y"}, 0), ("gradients", grads.keys(), floor)):
        row = gates.compare(level, *({name: x[name] for name in names} for x in (have, want)), floor=least)
        assert row.ok, row
    assert have.keys() == want.keys()


@cache
def here(case):
    """-> params, inputs with a gradient and those without, {path: masks}, {what: array} of our network."""
    random = np.random.default_rng(0)
    net = Functional(case.built(backbones.build))
    shapes = jax.eval_shape(net.init, jax.random.key(0))[0]
    params = pairs.randomised(jax.tree.map(lambda x: np.zeros(x.shape), shapes), random)
    free, fixed = inputs(case, random)
    masks = {}

    def mask(path, shape, p):
        masks.setdefault(path, []).append(random.uniform(size=shape) > p)
        return masks[path][-1]

    def value(params, free):
        y, _ = net.apply(params, {}, *arguments(free | fixed), mask=mask)
        return (probe(y.shape) * jnp.sin(y)).sum(), y

    slopes = pairs.quick(jax.value_and_grad(value, argnums=(0, 1), has_aux=True))
    (_, y), (by_params, by_inputs) = slopes(params, free)
    found = {"y": y, **by_inputs, **flatten_dict(by_params, sep=".")}
    return params, free, fixed, masks, pairs.plain(found)


def inputs(case, random):
    free = {"x": random.normal(size=(case.rows, case.size, case.size, case.channels))}
    free["time"] = np.array([-3.7, 412.3])[-case.rows :]
    if case.context:
        free["context"] = random.normal(size=(case.rows, 3, case.context))
    return free, {"label": np.array([1, case.classes])[-case.rows :]} if case.classes else {}


def arguments(given):
    return [given.get(name) for name in ("x", "time", "label", "context")]


def probe(shape):
    return np.random.default_rng(1).normal(size=shape)


def there(twin, free, fixed, masks):
    """The same of the twin, images with channels last."""
    first = lambda x: torch.from_numpy(np.moveaxis(x, -1, 1).copy() if x.ndim == 4 else x)
    given = {name: first(x).requires_grad_() for name, x in free.items()}
    with torch_ref.core.dropout(twin, {path: map(first, each) for path, each in masks.items()}):
        y = twin(*arguments(given | {name: first(x) for name, x in fixed.items()}))
    y = y.movedim(1, -1)
    (torch.from_numpy(probe(y.shape)) * y.sin()).sum().backward()
    found = {"y": y, **{name: x.grad for name, x in [*given.items(), *twin.named_parameters()]}}
    found["x"] = found["x"].movedim(1, -1)
    return pairs.arrays(found)


@pytest.mark.parametrize("name", backbones.names())
def test_weights_have_the_twins_keys_and_shapes(name):
    case = next(case for case in CASES if case.name == name)
    shapes = jax.eval_shape(Functional(case.built(backbones.build)).init, jax.random.key(0))[0]
    have = {key: x.shape for key, x in flatten_dict(shapes, sep=".").items()}
    assert have == {key: tuple(x.shape) for key, x in case.built(torch_ref.backbones.build).state_dict().items()}


def test_documented_width_is_the_default():
    """3 871 939 weights were counted with a GroupNorm(1, 1) at the entry of the printed network; here the entry is a
    stem, then a block from 64 to 64 channels without a shortcut of its own."""
    shapes = jax.eval_shape(Functional(backbones.build("documented", 28, 1, 64)).init, jax.random.key(0))[0]
    count = sum(x.size for x in jax.tree.leaves(shapes))
    norms, entry, stem, shortcut = 2 * 64 - 2 * 1, 9 * 64 * (64 - 1), 9 * 64 + 64, 64 + 64
    assert count == 3_871_939 + norms + entry + stem - shortcut == 3_908_865
