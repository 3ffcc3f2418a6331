"""Running averages of weights that are not torch's."""

from jaxgen import core
from jaxgen.parity.mutations.planting import Replaced
from jaxgen.parity.mutations.steps.players import tracked


def complement(family):
    """optax.incremental_update takes the weight of the new."""
    return Replaced(core, "average", lambda right: lambda old, new, decay: right(old, new, 1 - decay))


def statistics_copied(family):
    """Only parameters are averaged, statistics are those of the moment."""
    copied = lambda right: lambda old, new, decay: {**right(old, new, decay), "stats": new["stats"]}
    return Replaced(core, "average", copied) if tracked(family) else NotImplemented


def stepped(average):
    """A step whose averages are `average(before, after, decay)`."""

    def make(right):
        def wrong(family, txs, before, *given, decay=0.999, **how):
            after, metrics = right(family, txs, before, *given, decay=decay, **how)
            return after.replace(ema=average(before, after, decay)), metrics

        return wrong

    return Replaced(core, "update", make)


def weights(state):
    return {"params": state.params, "stats": state.stats}


def one_step_late(family):
    """The average takes in the weights from before the step."""
    return stepped(lambda before, after, decay: core.average(before.ema, weights(before), decay))


def debiased(family):
    """optax.ema's default: a mean of what was seen, in which the first weights have no part."""
    part = lambda step, decay: (1 - decay) / (1 - decay ** (step + 1.0))
    return stepped(lambda before, after, d: core.average(before.ema, weights(after), 1 - part(before.step, d)))
