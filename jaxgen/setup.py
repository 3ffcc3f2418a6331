"""Everything that a run is made of, from its options alone: family, data, plan, optimisers, and the step."""

from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxgen import averages, core, data, feed, find, optim, parallel, precision, settings
from jaxgen.errors import UserError, needs
from jaxgen.functional import Functional
from jaxgen.plan import Plan


def build(name: str, options: dict[str, Any], compute=None) -> Functional:
    """The family of a name or a path, with those of the options that are its constructor's."""
    cls = find.family(name)
    given = {key: tuple(x) if isinstance(x, list) else x for key, x in settings.of(cls.__init__, options).items()}
    settings.choices(settings.signature(cls.__init__), given)
    return Functional(cls(**given), compute)


class Setup:
    """Parts are made when they are asked for: to sample needs no data, to count parameters no optimiser."""

    def __init__(self, name, options, optimizers=None, decay_ends=None):
        self.name, self.options, self.own, self.decay_ends = name, options, optimizers, decay_ends
        self.family = build(name, options, precision.compute(options["precision"]))

    @cached_property
    def inputs(self):
        """What a step is given: a batch for each share."""
        return self.family.inputs(self.options["batch"] * core.shares(self.family))

    @cached_property
    def data(self):
        """The data as they are found; `train` and `test` in the form that the family asks for."""
        found = data.load(self.options["data"], self.options["data_dir"], self.options["workers"])
        if self.options["flip"] and not found.flips:
            raise UserError(f"{found.name}: a mirrored image is not one of them. Leave out --flip.")
        asked, there = getattr(self.family, "classes", 0), len(found.classes)
        if asked and there and asked != there:
            raise UserError(f"classes {asked}: {found.name} has {there} classes. Set --classes {there}.")
        return found

    @cached_property
    def train(self):
        return data.fit(self.data.train, self.inputs, self.options["resize"], self.options["convert"])

    @cached_property
    def test(self):
        return data.fit(self.data.test, self.inputs, self.options["resize"], self.options["convert"])

    @cached_property
    def plan(self):
        return Plan(self.family, self.train, self.options)

    @cached_property
    def txs(self):
        """{player: optax transformation}: the family's or those given, behind clipping and before the schedule."""
        if self.own and self.own.keys() != self.family.players.keys():
            players, got = ", ".join(self.family.players), ", ".join(self.own)
            raise UserError(f"optimizers: expected one for each of {players}, got {got}.")
        own = self.own or self.family.optimizers(**settings.of(find.family(self.name).optimizers, self.options))
        keys = ("clip", "schedule", "warmup")
        return optim.build(self.family, own, steps=self.ends, **{key: self.options[key] for key in keys})

    @property
    def ends(self):
        """The step at which the rates have decayed. Where none decays, the data are not asked how long a run is."""
        decays = self.options["schedule"] != "constant"
        return (self.decay_ends or self.plan.steps) if decays else 0

    def check(self):
        """What cannot be is said before anything is written."""
        rows = self.options["batch"] // self.options["accumulate"]
        if self.family.normalises and rows < 2:
            why = "BatchNorm's statistics of a single image are no training"
            raise UserError(
                f"batch {self.options['batch']}: expected at least 2 rows at a time, got {rows}: {why}. Set --batch."
            )
        if self.options["tensorboard"]:
            needs("tensorboardX", "tensorboard")
        return self.plan, self.txs, self.test, [averages.exponent(width) for width in self.options["ema_widths"]]

    @cached_property
    def root(self):
        return jax.random.key(self.options["seed"])

    @property
    def fresh(self):
        """key -> a state of initial weights."""
        kept = dict(averaged=self.options["ema"] > 0, widths=self.options["ema_widths"])
        return partial(core.init, self.family, self.txs, **kept)

    @property
    def like(self):
        return jax.eval_shape(self.fresh, jax.random.key(0))

    def step(self, state, batch, root):
        """-> state, metrics: the pure step of this run, in its precision."""
        decay = self.options["ema"]
        decay = core.warmed(decay, state.step) if self.options["ema_warmup"] else decay
        how = dict(decay=decay, accumulate=self.options["accumulate"])
        with precision.scope(self.options["precision"]):
            return core.step(self.family, self.txs, state, batch, root, **how)

    def feed(self, step):
        """What calls from `step` on are given."""
        if self.plan.streams:
            return feed.Streamed(self.train, self.plan, self.inputs, step)
        return feed.Resident(self.train, self.plan, self.inputs)

    def fed(self, source, state, x, rest):
        """A step of what `source` gives."""
        batch = source.batch(x, rest["data"])
        if self.options["flip"]:
            batch["image"] = feed.mirrored(batch["image"], rest["root"], state.step)
        return self.step(state, batch, rest["root"])

    def call(self, source):
        """Several steps in one call, on however many devices: (state, what `source` gives, (count, rest)) -> state,
        (metrics of each step, {net: whether all its arrays are finite})."""
        deterministic = self.options["deterministic"]
        steps = parallel.upto(partial(self.fed, source), parallel.block(deterministic))

        def several(state, xs, rest):
            state, metrics = steps(state, xs, rest)
            return state, (metrics, finite(state))

        return parallel.run(self.plan.way, several, axis=1, deterministic=deterministic)

    def placed(self, tree):
        """On the device, or on each of them."""
        return jax.device_put(tree) if self.plan.way == "jit" else parallel.replicated(tree)


def finite(state):
    """{net: whether all its parameters and statistics are finite}."""
    good = lambda *trees: jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(trees)]).all()
    return {net: good(state.params.get(net), state.stats.get(net)) for net in state.params | state.stats}
