"""All runs of a sweep as one compiled program: what they share is constant in it, what sets them apart are arrays with
a leading run axis. No run reads anything of another one."""

from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import feed, find, parallel
from jaxgen.errors import UserError
from jaxgen.plan import Plan
from jaxgen.setup import Setup, finite


class Runs:
    """`setup` is what the runs share, `each` [{"seed": ..., option: value}] what sets them apart."""

    def __init__(self, setup, each, devices=1):
        self.setup, self.each, self.devices = setup, each, devices
        self.roots = jnp.stack([jax.random.key(run["seed"]) for run in each])
        names = each[0].keys() - {"seed"}
        self.values = {name: jnp.asarray([run[name] for run in each], float) for name in sorted(names)}

    @property
    def plan(self):
        return self.setup.plan

    def of(self, values):
        """The setup of a run, whose numbers may be traced."""
        return Setup(self.setup.name, self.setup.options | values, decay_ends=self.setup.ends)

    def fresh(self, roots, values):
        """Initial states, each that of the same run alone."""
        return jax.vmap(lambda root, values: self.of(values).fresh(root))(roots, values)

    @cached_property
    def like(self):
        try:
            return jax.eval_shape(self.fresh, self.roots, self.values)
        except jax.errors.ConcretizationTypeError as error:  # `if weight_decay:`, say
            names, family = ", ".join(self.values), find.label(self.setup.name)
            why = f"the optimizers of {family} look at its value, so that another one is another program"
            raise UserError(f"{names}: cannot be listed: {why}. Start a sweep for each.") from error

    def state(self):
        return parallel.once(self.fresh)(self.roots, self.values)

    @cached_property
    def feeds(self):
        """{seed: which rows its runs see}, in the order of the same run alone."""
        seeds = dict.fromkeys(run["seed"] for run in self.each)
        plan = lambda seed: Plan(self.setup.family, self.setup.train, self.setup.options | {"seed": seed})
        return {seed: feed.Resident(self.setup.train, plan(seed), self.setup.inputs) for seed in seeds}

    @property
    def source(self):
        return next(iter(self.feeds.values()))

    def given(self, step, count):
        """Rows (runs, most, rows) of `count` steps from `step` on."""
        rows = {seed: feed(step, count) for seed, feed in self.feeds.items()}
        return np.stack([rows[run["seed"]] for run in self.each])

    def call(self):
        """Several steps of all runs: (state, `given`, (count, `rest`)) -> state, metrics (runs, steps)."""
        one = lambda state, x, rest: self.of(rest["values"]).fed(self.source, state, x, rest)
        steps = parallel.upto(one, parallel.block(self.setup.options["deterministic"]))
        return self.side_by_side(steps, (0, 0, (None, {"root": 0, "values": 0, "data": None})))

    def settle(self):
        """(state, kept, fine, step) -> state. A run that is not finite goes back to `kept`, as it was at `step`; one
        that went back before is known by its own step, which is not that one, and stays there."""

        def one(state, kept, fine, step):
            going = (kept.step == step) & fine & jnp.stack([*finite(state).values()]).all()
            return jax.tree.map(lambda new, old: jnp.where(going, new, old), state, kept)

        return self.side_by_side(one, (0, 0, 0, None))

    def side_by_side(self, fn, axes):
        how = dict(deterministic=self.setup.options["deterministic"])
        return parallel.side_by_side(fn, axes, self.devices, **how)

    @property
    def rest(self):
        apart = parallel.spread({"root": self.roots, "values": self.values}, self.devices)
        return apart | {"data": parallel.spread(self.source.arrays, self.devices, split=False)}

    def placed(self, state):
        return parallel.spread(state, self.devices)
