"""Who plays when, with what, and what is kept of it."""

import jax
import optax

from jaxgen import core
from jaxgen.parity.mutations.planting import Replaced


class Other:
    """A family some of whose attributes are others."""

    def __init__(self, family, **attributes):
        vars(self).update(attributes, family=family)

    def __getattr__(self, name):
        return getattr(self.family, name)


def played(change):
    """A step of the family with `change(players)`."""

    def make(right):
        return lambda family, *args, **how: right(Other(family, players=change(family.players)), *args, **how)

    return Replaced(core, "update", make)


def simultaneous(value):
    """A step in which the players see the state from before it, or that after the player before them."""

    def make(right):
        return lambda family, *args, **how: right(Other(family, simultaneous=value), *args, **how)

    return Replaced(core, "update", make)


def each(**changes):
    """All players so changed."""
    return played(lambda players: {name: player._replace(**changes) for name, player in players.items()})


def alternate(ours):
    return len(ours.players) > 1 and not core.is_simultaneous(ours)


def tracked(ours):
    """Whether there are statistics to move."""
    return any(player.moves for player in ours.players.values())


def in_the_other_order(family):
    """The generator first, as in some sources; the critic first, as in others."""
    return played(lambda players: dict(reversed(players.items()))) if alternate(family) else NotImplemented


def at_once(family):
    """All losses computed from the state before the step, then all updates: the natural way in JAX."""
    return simultaneous(True) if alternate(family) else NotImplemented


def by_turns(family):
    """One player after the other, where the source computes all losses first."""
    return simultaneous(False) if core.is_simultaneous(family) else NotImplemented


def statistics_of_their_own_nets(family):
    """A player moves the statistics of what it trains; torch moves those of every net that runs."""
    players = family.players.values()
    if all(set(player.moves) <= set(player.trains) for player in players):
        return NotImplemented
    kept = lambda player: tuple(net for net in player.moves if net in player.trains)
    return played(lambda players: {name: x._replace(moves=kept(x)) for name, x in players.items()})


def statistics_counted_twice(family):
    """Every player moves the statistics of all nets, though the generator's forward is the same in both turns."""
    nets = tuple({net: None for player in family.players.values() for net in player.moves})
    if all(set(player.moves) == set(nets) for player in family.players.values()):
        return NotImplemented
    return each(moves=nets)


def statistics_not_kept(family):
    """The mutable collection that apply returns is thrown away."""
    return each(moves=()) if tracked(family) else NotImplemented


def playing_once(family):
    """n_critic left out."""
    if core.shares(family) == 1:
        return NotImplemented

    def make(right):
        def wrong(family, txs, state, batch, draws, **how):
            once = {name: player._replace(times=1) for name, player in family.players.items()}
            first = (core.share(family, tree, 0) for tree in (batch, draws))
            return right(Other(family, players=once), txs, state, *first, **how)

        return wrong

    return Replaced(core, "update", make)


def batch_not_reused(family):
    """A new batch for each turn of the critic, where the source shows it the same one."""
    if not any(player.reuse and player.times > 1 for player in family.players.values()):
        return NotImplemented
    return each(reuse=False)


def noise_reused(family):
    """One draw for all turns of the critic."""
    if core.shares(family) == 1:
        return NotImplemented
    return Replaced(core, "share", lambda right: lambda family, tree, turn: right(family, tree, 0))


def shares_in_blocks(family):
    """The turn k takes a block of the batch, not every n-th row from k."""
    if core.shares(family) == 1:
        return NotImplemented

    def make(right):
        def wrong(family, tree, turn):
            part = lambda x: x.shape[0] // core.shares(family)
            return jax.tree.map(lambda x: x[turn * part(x) : (turn + 1) * part(x)], tree)

        return wrong

    return Replaced(core, "share", make)


def optimiser_begun_anew(family):
    """tx.init inside of the step: the state of the optimiser is not carried."""

    def make(right):
        def wrong(family, tx, name, state, *given):
            fresh = tx.init(core.pick(state.params, family.players[name].trains))
            return right(family, tx, name, state.having(opt={name: fresh}), *given)

        return wrong

    return Replaced(core, "play", make)


def ascending(family):
    """Updates subtracted, though optax's have their sign already."""
    subtract = lambda params, updates: jax.tree.map(lambda p, u: p - u, params, updates)
    return Replaced(optax, "apply_updates", lambda right: subtract)
