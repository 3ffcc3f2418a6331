"""Schedules of the learning rate that are nearly torch's."""

from types import SimpleNamespace

from jaxgen import optim
from jaxgen.parity.mutations.planting import Replaced


def one_step_late(family):
    """The count read after it was raised, or scheduler.step() before optimizer.step()."""
    return Replaced(optim, "factor", lambda right: lambda *plan: lambda step: right(*plan)(step + 1))


def without_warmup(family):
    """The warm-up left to the caller."""
    return Replaced(optim, "factor", lambda right: lambda schedule, warmup, steps: right(schedule, 0, steps))


def decay_over_the_warmup_too(family):
    """The cosine as long as the run, where it begins after the warm-up."""

    def make(right):
        return lambda schedule, warmup, steps: right(schedule, warmup, steps + warmup)

    return Replaced(optim, "factor", make)


def turns_counted(family):
    """An optimiser counts its updates, of which a player who plays twice makes two a step."""
    if max(player.times for player in family.players.values()) == 1:
        return NotImplemented
    once = SimpleNamespace(players={name: player._replace(times=1) for name, player in family.players.items()})
    return Replaced(optim, "build", lambda right: lambda family, txs, **how: right(once, txs, **how))
