"""Who plays, what it changes, and what is drawn for it."""

import types
from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx
from names import EACH, NAMES, small

from jaxgen import core, find, nn
from jaxgen.core import Player
from jaxgen.functional import Functional
from jaxgen.parity import pairs


def built(name):
    family = small(name)
    return family, family.optimizers(lr=pairs.LR)


@pytest.mark.parametrize("name", EACH, ids=find.label)
def test_who_changes(name):
    """A net changes in a step exactly when somebody trains it, its statistics when somebody moves it."""
    family, txs = built(name)
    state, batch = pairs.start(family, txs), pairs.at(pairs.batches(family, 1), 0)
    new, _ = pairs.updates(family, txs)(state, batch, family.draw(jax.random.key(0), batch))
    changed = lambda a, b: any(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x != y).any()), a, b)))
    for part, who in [("params", "trains"), ("stats", "moves")]:
        old_tree, new_tree = getattr(state, part), getattr(new, part)
        active = {net for player in family.players.values() for net in getattr(player, who)}
        assert {net for net in old_tree if changed(old_tree[net], new_tree[net])} == active & old_tree.keys()


@pytest.mark.parametrize("name", NAMES, ids=find.label)
def test_draws(name):
    """Made of the key and the shapes alone; every mask differs from every other, and lets 1 - p through."""
    family, _ = built(name)
    kind = lambda x: float if np.dtype(x.dtype).kind == "f" else x.dtype
    shapes = {key: jax.ShapeDtypeStruct(x.shape, kind(x)) for key, x in family.inputs(252).items()}
    draws = family.draw(jax.random.key(0), shapes)
    assert draws["masks"].keys() == family.players.keys()
    layers = nnx.iter_modules(family.module)
    paths = {".".join(path): layer.p for path, layer in layers if isinstance(layer, nn.Dropout)}
    masks = [(path, mask) for asked in draws["masks"].values() for path, calls in asked.items() for mask in calls]
    assert {path for path, _ in masks} == paths.keys()
    for i, (path, mask) in enumerate(masks):
        assert abs(mask.mean() - (1 - paths[path])) < 0.05
        assert not any(mask.shape == other.shape and (mask == other).all() for _, other in masks[:i])


@pytest.mark.parametrize("name", NAMES, ids=find.label)
def test_inputs_say_what_a_batch_is(name):
    family, _ = built(name)
    for x in family.inputs(6).values():
        assert x.shape[0] == 6 and x.low < x.high and np.dtype(x.dtype).kind in "fi"


def toy(players, simultaneous=False):
    class Toy(nnx.Module):
        def __init__(self):
            self.x, self.y = nn.Linear(1, 1), nn.Linear(1, 1)

    Toy.players, Toy.simultaneous = players, simultaneous
    return Functional(Toy())


@pytest.mark.parametrize(
    "players, message",
    [
        ({"a": Player(trains=("x",), moves=("z",))}, r"moves \['z'\], the nets are \['x', 'y'\]"),
        ({"a": Player(trains=("x",)), "b": Player(trains=("x", "y"))}, "two of them train one of"),
        (
            {"a": Player(trains=("x",), moves=("x",)), "b": Player(trains=("y",), moves=("x",))},
            "two of them move one of",
        ),
        ({"a": Player(trains=("x",), times=0)}, "play less than once"),
    ],
)
def test_errors_name_the_net(players, message):
    with pytest.raises(ValueError, match=message):
        core.init(toy(players, simultaneous=True), {}, jax.random.key(0))


def test_shares_are_strided():
    """Turn k sees the rows k, k + n, ...: the same rows of each device however many devices there are."""
    family = types.SimpleNamespace(players={"a": Player(("x",), times=3), "b": Player(("y",), times=2)})
    assert core.shares(family) == 3
    np.testing.assert_array_equal(core.share(family, {"x": np.arange(9)}, 1)["x"], [1, 4, 7])
    halves = [core.share(family, part, 2) for part in np.split(np.arange(12), 2)]
    np.testing.assert_array_equal(np.concatenate(halves), core.share(family, np.arange(12), 2))
    with pytest.raises(ValueError, match="a step has 3 shares, but a batch or its draws have 4 rows"):
        core.share(family, np.arange(4), 0)


def test_used_counts_the_shares_that_are_looked_at():
    family = lambda **players: types.SimpleNamespace(players=players)
    assert core.used(family(a=Player(("x",), times=5), b=Player(("y",)))) == 5
    assert core.used(family(a=Player(("x",), times=5, reuse=True), b=Player(("y",)))) == 1


def test_train_is_an_argument_of_apply():
    """Nothing in between hands it down: Sequential calls its layers with x alone."""
    net = Functional(nn.Sequential(nn.Sequential(nn.BatchNorm1d(3)), nn.Dropout(0.5)))
    params, stats = net.init(jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(8, 3))
    y, same = net.apply(params, stats, x, train=False)
    np.testing.assert_allclose(y, x / np.sqrt(1 + 1e-5), rtol=1e-12)
    assert same["0"]["0"]["num_batches_tracked"] == 0
    asked = []
    mask = lambda path, shape, p: asked.append((path, shape, p)) or (np.arange(8)[:, None] < 4)
    y, moved = net.apply(params, stats, x, mask=mask)
    assert asked == [("1", (8, 3), 0.5)] and bool((y[4:] == 0).all()) and moved["0"]["0"]["num_batches_tracked"] == 1


def test_no_average_is_kept_unless_asked_for():
    family, txs = built("mlp_gan")
    assert core.init(family, txs, jax.random.key(0)).ema == {}
    batch = pairs.at(pairs.batches(family, 1), 0)
    state, _ = jax.jit(partial(core.step, family, txs))(
        core.init(family, txs, jax.random.key(0)), batch, jax.random.key(1)
    )
    assert state.ema == {}
