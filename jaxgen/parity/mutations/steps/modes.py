"""Training taken for evaluation, and masks of Dropout that stray."""

import jax
import jax.numpy as jnp

from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.parity.mutations.planting import Replaced
from jaxgen.parity.mutations.steps.players import tracked


def sampling_in_training(family):
    """model.eval() forgotten before samples are drawn."""
    if not (family.normalises or family.drops):  # statistics of another kind are no part of a sample
        return NotImplemented
    kept = lambda path, shape, p: jnp.ones(shape, bool)

    def wrong(self, params, stats, draws):
        return self.apply(params, stats, draws, method="sample", train=True, mask=kept)[0]

    return Replaced(Functional, "sample", lambda right: wrong)


def training_in_evaluation(family):
    """model.train() forgotten after the first evaluation."""
    if not (tracked(family) or family.drops):
        return NotImplemented
    return Replaced(Functional, "loss", lambda right: lambda *args, **how: right(*args[:6], train=False))


def one_mask_for_all_calls(family):
    """One key for a Dropout that is called on real and on generated images."""
    masks = jax.eval_shape(family.draw, jax.random.key(0), pairs.at(pairs.batches(family, 1), 0))["masks"]
    if not any(len(calls) > 1 for paths in masks.values() for calls in paths.values()):
        return NotImplemented

    def make(right):
        def wrong(self, player, params, stats, batch, draws, train=True):
            repeated = {path: [calls[0] for _ in calls] for path, calls in draws["masks"][player].items()}
            masks = {**draws["masks"], player: repeated}
            return right(self, player, params, stats, batch, {**draws, "masks": masks}, train)

        return wrong

    return Replaced(Functional, "loss", make)
