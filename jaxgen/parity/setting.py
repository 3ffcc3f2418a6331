"""A case built: both sides with the same weights, and what they are given."""

from functools import cached_property

import jax
import numpy as np

from jaxgen import core
from jaxgen.parity import pairs
from jaxgen.weights import to_state_dict

FEW = 16  # different batches; a longer run begins again with the first


class Setting:
    """`shown` collects what a report shows beside the rows; `steps`: how many will be taken, more or less."""

    def __init__(self, case, steps=0):
        self.steps = steps
        self.case, (self.family, self.twin), self.shown = case, case.build(), {}
        self.txs = self.family.optimizers(lr=pairs.LR)
        self.learns = any(True for _ in self.twin.parameters())  # two functions learn nothing
        self.state = pairs.start(self.family, self.txs, self.twin)
        self.draw = pairs.quick(self.family.draw)

    @cached_property
    def batches(self):
        return pairs.batches(self.family, FEW)

    @property
    def state_dict(self):
        return to_state_dict(self.state.params, self.state.stats)

    @cached_property
    def update(self):
        """The whole step, compiled."""
        return pairs.updates(self.family, self.txs, self.steps)

    def step(self, i):
        """-> batch, draws of the step i."""
        batch = pairs.at(self.batches, i % FEW)
        return batch, jax.tree.map(np.asarray, self.draw(jax.random.key(i), batch, i))

    def turn(self, i=0):
        """What a player is given in its first turn of the step i."""
        batch, draws = (core.share(self.family, x, 0) for x in self.step(i))
        return {"batch": batch, "draws": draws}

    def give(self):
        """The weights of the start to the twin."""
        pairs.give(self.twin, self.state.params, self.state.stats)
