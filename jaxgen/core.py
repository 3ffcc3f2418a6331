"""One pure update for every family, whoever plays: a VAE alone, a GAN by turns, several nets under one loss.

A family is one class (`jaxgen/families/*.py`, or a file of a user's own) with
- nets as attributes, and `players` {name: Player} in the order in which they play; `simultaneous = True` lets all of
  them see the state from before the step;
- `<player>_loss(batch, draws) -> (scalar, metrics)`, `draw(key, batch)` (all randomness of a step, which reads nothing
  of the batch but its shapes; with an argument `step`, None in evaluation, also what changes as training goes on, a
  value a row), `draw_sample(key, count, first=0)` and `sample(draws)`;
- `inputs(batch)` {leaf of a batch of so many rows: Input}, `images` (the leaves of batch and draws that are images:
  NHWC here, NCHW in torch), `optimizers(lr=..., ...)` {player: optax transformation}, `recipes` {name: Recipe} and
  `small` (constructor arguments of a test-sized model; `further`: additions to them that are to be verified too;
  `elsewhere`: arguments whose choices another family shows);
  where a held-out metric ranks runs, `ranks` is its name (lower is better); `sampling`: the arguments that change how
  images are sampled and nothing else; `sample(draws, frames=0)`, where images are made in steps of which some may be
  seen, with the frames along a leading axis; `written(draws)`: draws of samples without keys, where noise is made of
  keys.
Its constructor's signature is its configuration. Batches, draws and metrics are plain dicts of arrays. A loss is a mean
over the rows of the batch, and so are its metrics: under `pmap` they are averaged over the devices.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxgen import averages, axis
from jaxgen.errors import UserError


class Player(NamedTuple):
    """`<player>_loss` trains these nets, moves these nets' running statistics, and is played so many times a step: each
    turn with a share of the batch and draws of its own, or (`reuse`) with the first share of the batch every time."""

    trains: tuple[str, ...]
    moves: tuple[str, ...] = ()
    times: int = 1
    reuse: bool = False


class Input(NamedTuple):
    """A leaf of a batch: its shape, the range of its values (both ends included) and its dtype."""

    shape: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0
    dtype: str = "float32"


class Recipe(NamedTuple):
    """Options of a training run: those its source prints, and those we chose where it is silent."""

    source: str
    printed: dict[str, Any]
    chosen: dict[str, Any] = {}


class State(struct.PyTreeNode):
    """Everything a step changes: arrays only, no two of them sharing a buffer."""

    step: jax.Array
    params: dict  # {net: params}
    stats: dict  # {net: running statistics}
    opt: dict  # {player: optax state}
    ema: dict  # {"params": averaged, "stats": averaged}, or empty
    widths: dict = struct.field(default_factory=dict)  # {width: as `ema`} of those to choose from later, or empty

    def having(self, **changes):
        """The state with some of the nets or players of some of its dicts replaced."""
        return self.replace(**{name: {**getattr(self, name), **change} for name, change in changes.items()})


def init(family, txs, key, *, averaged=False, widths=()):
    """A state of initial weights; `averaged` keeps a running average of them beside, `widths` one of each width, of
    which the initial weights are no part."""
    params, stats = family.init(key)
    check(family, params | stats)
    opt = {name: txs[name].init(pick(params, player.trains)) for name, player in family.players.items()}
    nets = {"params": params, "stats": stats}
    ema = jax.tree.map(jnp.copy, nets) if averaged else {}
    wide = {averages.name(width): jax.tree.map(jnp.zeros_like, nets) for width in widths}
    return State(jnp.zeros((), jnp.int32), params, stats, opt, ema, wide)


def step(family, txs, state, batch, root, **options):
    """-> state, metrics. The draws depend on `root` and the step's number alone, so a scan of K steps, K calls and a
    resumed run are the same to the last bit; they are made for the global batch, then split among the devices."""
    key = jax.random.fold_in(root, state.step)
    draws = axis.share(family.draw(key, axis.whole(batch), state.step))
    return update(family, txs, state, batch, draws, **options)


def update(family, txs, state, batch, draws, *, decay=0.999, accumulate=1):
    """-> state, metrics. Every player plays; no randomness in here: it all arrived in `draws`. `decay` is that of the
    running average, where the state keeps one; a turn goes through its rows in `accumulate` micro-batches."""
    before, metrics = state, {}
    for name in family.players:
        seen = before if is_simultaneous(family) else state
        changes, told = turns(family, txs[name], name, seen, batch, draws, accumulate)
        state = state.having(**changes)
        metrics |= told
    nets, step = {"params": state.params, "stats": state.stats}, state.step + 1
    ema = average(state.ema, nets, decay) if state.ema else {}
    widths = {key: blend(old, nets, averages.share(float(key), step)) for key, old in state.widths.items()}
    return state.replace(step=step, ema=ema, widths=widths), metrics


def turns(family, tx, name, state, batch, draws, accumulate=1):
    """All turns of one player -> what they change, metrics of the last. Several are a loop, which is compiled once."""
    player, first = family.players[name], share(family, batch, 0)
    if player.times == 1:
        return play(family, tx, name, state, first, share(family, draws, 0), accumulate)

    def again(changes, mine):
        rows, drawn = mine
        return play(family, tx, name, state.having(**changes), first if player.reuse else rows, drawn, accumulate)

    look = lambda turn: ({} if player.reuse else share(family, batch, turn), share(family, draws, turn))
    each = jax.tree.map(lambda *x: jnp.stack(x), *map(look, range(player.times)))
    now = {"params": pick(state.params, player.trains), "stats": pick(state.stats, player.moves)}
    changes, told = jax.lax.scan(again, now | {"opt": {name: state.opt[name]}}, each, length=player.times)
    return changes, jax.tree.map(lambda x: x[-1], told)


def play(family, tx, name, state, batch, draws, accumulate=1):
    """One turn of one player -> what it changes, metrics."""
    player = family.players[name]
    trained = pick(state.params, player.trains)
    grads, metrics, stats = gradients(family, name, state, batch, draws, accumulate)
    grads, metrics = axis.mean((grads, metrics))
    updates, opt = tx.update(grads, state.opt[name], trained)
    changes = {"params": optax.apply_updates(trained, updates), "stats": pick(stats, player.moves), "opt": {name: opt}}
    return changes, metrics


def gradients(family, name, state, batch, draws, accumulate=1):
    """-> gradients, metrics, moved statistics. Of several micro-batches one after the other, so that memory is that of
    one: the means of the first two, while the statistics move with each, as in torch's loop of `(loss / n).backward()`
    before one `optimizer.step()`. A batch norm sees the micro-batch, of all devices."""
    if accumulate == 1:
        return gradient(family, name, state, batch, draws)

    def one(carry, micro):
        total, stats = carry
        grads, metrics, stats = gradient(family, name, state.replace(stats=stats), *micro)
        return (jax.tree.map(jnp.add, total, grads), stats), metrics

    nothing = jax.tree.map(jnp.zeros_like, pick(state.params, family.players[name].trains))
    (total, stats), metrics = jax.lax.scan(one, (nothing, state.stats), micro_batches((batch, draws), accumulate))
    return jax.tree.map(lambda x: x / accumulate, total), jax.tree.map(lambda x: x.mean(0), metrics), stats


def gradient(family, name, state, batch, draws):
    """-> gradients of what the player trains, metrics, moved statistics."""

    def loss(trained):
        return family.loss(name, {**state.params, **trained}, state.stats, batch, draws)

    grads, (metrics, stats) = jax.grad(loss, has_aux=True)(pick(state.params, family.players[name].trains))
    return grads, metrics, stats


def micro_batches(tree, count):
    """Stacked along a leading axis, strided as shares are: rows k, k + count, ... are the micro-batch k."""
    if odd := [x.shape for x in jax.tree.leaves(tree) if x.shape[0] % count]:
        raise UserError(f"accumulate {count}: a turn has {odd[0][0]} rows on a device, which is not a multiple of it")
    return jax.tree.map(lambda x: x.reshape(-1, count, *x.shape[1:]).swapaxes(0, 1), tree)


def shares(family):
    """A step has as many shares as its busiest player has turns."""
    return max(player.times for player in family.players.values())


def used(family):
    """How many of a step's shares of the batch are looked at; with `reuse` fewer than there are."""
    return max(1 if player.reuse else player.times for player in family.players.values())


def share(family, tree, turn):
    """One turn's rows: strided, so that splitting a batch among devices changes nothing."""
    count = shares(family)
    if odd := [x.shape for x in jax.tree.leaves(tree) if x.shape[0] % count]:
        raise UserError(f"a step has {count} shares, but a batch or its draws have {odd[0][0]} rows on a device")
    return jax.tree.map(lambda x: x[turn::count], tree)


def average(old, new, decay):
    """Running average; an integer is counted, not averaged."""
    return blend(old, new, 1 - decay)


def blend(old, new, share):
    """`share` of the new; an integer is counted."""
    one = lambda o, n: o + share * (n - o) if jnp.issubdtype(n.dtype, jnp.floating) else n
    return jax.tree.map(one, old, new)


def warmed(decay, step):
    """The decay of an average in the update `step` = 0, 1, ...: so small at first that the initial weights soon count
    for nothing."""
    return jnp.minimum(decay, (1.0 + step) / (10.0 + step))


def pick(tree, names):
    return {name: tree[name] for name in names if name in tree}


def is_simultaneous(family):
    return getattr(family, "simultaneous", False)


def check(family, nets):
    """Players speak of nets that exist, and those who play at once do not change the same thing."""
    for who in ("trains", "moves"):
        named = [net for player in family.players.values() for net in getattr(player, who)]
        if unknown := sorted(set(named) - set(nets)):
            raise UserError(f"a player {who} {unknown}, the nets are {sorted(nets)}")
        if is_simultaneous(family) and len(named) > len(set(named)):
            raise UserError(f"simultaneous players: two of them {who.rstrip('s')} one of {sorted(set(named))}")
    if few := [name for name, player in family.players.items() if player.times < 1]:
        raise UserError(f"players {few} play less than once a step")
