"""The training loop of a sweep: calls of several steps of all runs, and what is due between them."""

import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import checkpoint, evaluation
from jaxgen.errors import Stopped
from jaxgen.guard import signals
from jaxgen.loop import SAVE
from jaxgen.progress import Bar, Clock, duration
from jaxgen.sweeping import folder as folders
from jaxgen.sweeping import listed


class Loop:
    """A sweep under way. Where something is due, the runs are looked at: one that is no longer finite is set back to
    where it was looked at before, and stays there, while the others go on. To ask in each step would cost a third of it
    (docs/decisions.md)."""

    def __init__(self, runs, folder, state, step):
        self.runs, self.setup, self.plan, self.folder = runs, runs.setup, runs.plan, folder
        self.first = self.step = self.seen = self.kept = step
        self.clock, self.bar = Clock(), Bar(self.plan, step)
        self.bar.images *= len(runs.each)
        with self.clock("data"):
            self.call, self.settle = runs.call(), runs.settle()
            self.state, self.rest = runs.placed(state), jax.block_until_ready(runs.rest)
        self.before = copied(self.state)
        self.told, self.rate, self.diverged = [], 1.0, folders.diverged(folder)
        # the first step since the runs were looked at whose numbers are not finite
        self.odd = [None for _ in runs.each]
        self.earlier, self.saved = folder.seconds, time.perf_counter()

    def run(self):
        """To the end of the plan or of the last run, or until Ctrl-C; all is saved."""
        try:
            with self.bar, signals() as asked:
                self.compile()
                while self.step < self.plan.steps and self.alive.any() and not asked:
                    self.advance(self.plan.count(self.step, self.rate))
                    self.attend()
                self.look()
                self.keep()
                self.bar.say(self.summary())
        finally:
            self.folder.close()
        if asked and self.step < self.plan.steps and self.alive.any():
            told = f"{self.folder.folder}: stopped at step {self.step}, saved. The same command goes on."
            raise Stopped(told, 128 + asked[0])

    @property
    def alive(self):
        return np.array([step is None for step in self.diverged])

    def compile(self):
        """A call of no steps."""
        with self.clock("compiling"):
            self.state, told = self.call(self.state, self.runs.given(0, 1), (np.int32(0), self.rest))
            self.look()
            jax.block_until_ready(told)

    def advance(self, count):
        begun = time.perf_counter()
        self.state, told = self.call(self.state, self.runs.given(self.step, count), (np.int32(count), self.rest))
        told = {key: x[:, :count].astype(np.float64) for key, x in jax.device_get(told).items()}
        self.told.append(told)
        for index, bad in enumerate(~np.isfinite(np.stack([*told.values()])).all(0)):
            if bad.any() and self.odd[index] is None:
                self.odd[index] = self.step + int(bad.argmax()) + 1
        self.step += count
        self.rate = count / (time.perf_counter() - begun)
        self.bar.advance(self.step, self.rate)

    def attend(self):
        """What is due at this step."""
        plan, step = self.plan, self.step
        log, test, save = (plan.due(n, step) for n in (plan.log_every, plan.eval_every, plan.save_every))
        save = save or (log and plan.save_every is None and time.perf_counter() - self.saved > SAVE)
        if log or test or save:
            self.look()
        if log:
            self.log()
        if test and self.alive.any() and len(self.setup.test):
            self.evaluate()
        if save and step < plan.steps:
            self.keep()

    def look(self):
        """Which runs are still finite; the others are told of, and set back."""
        fine = np.array([step is None for step in self.odd])
        self.state = self.settle(self.state, self.before, fine, np.int32(self.seen))
        self.before, steps = copied(self.state), jax.device_get(self.state.step)
        for index in np.flatnonzero(self.alive & (steps != self.step)):
            self.diverged[index] = self.odd[index] or self.step
            run = listed.named(self.runs.each[index])
            self.bar.say(f"run {index} ({run}) diverged at step {self.diverged[index]}")
        if self.diverged != folders.diverged(self.folder):
            self.folder.log(self.step, self.seconds, {"diverged": self.diverged})
        self.seen, self.odd = self.step, [None for _ in self.odd]

    def log(self):
        """The mean of each run since the last line."""
        each = {key: np.concatenate([x[key] for x in self.told], 1).mean(1) for key in self.told[0]}
        self.told = []
        self.write(each)
        if self.alive.any():
            self.bar.log({key: float(x[self.alive].mean()) for key, x in each.items()}, self.rate)

    def write(self, each):
        """A line with a number for each run; that of a run which diverged is null."""
        plain = lambda x: [float(n) if fine else None for n, fine in zip(x, self.alive, strict=True)]
        self.folder.log(self.step, self.seconds, {key: plain(x) for key, x in each.items()})

    @property
    def seconds(self):
        """Since the sweep began, without the time in which it was stopped."""
        return self.earlier + self.clock.seconds

    def evaluate(self):
        """Held-out losses of each run in turn, by one compiled function, from a copy on the host."""
        with self.clock("evaluation"):
            state, test, exact = self.state, self.setup.test, self.setup.options["deterministic"]
            nets = jax.device_get(
                (state.ema["params"], state.ema["stats"]) if state.ema else (state.params, state.stats)
            )
            look = lambda i: evaluation.evaluate(self.setup.family, *at(nets, i), test, exact)
            told = {i: look(i) for i in np.flatnonzero(self.alive)}
            names = next(iter(told.values()), {})
            nothing = dict.fromkeys(names, np.nan)
            each = [told.get(i, nothing) for i in range(len(self.runs.each))]
            self.write({f"test_{key}": [x[key] for x in each] for key in names})

    def keep(self):
        if self.kept != self.step:
            with self.clock("checkpoints"):
                checkpoint.save(self.folder.checkpoints, self.step, self.state)
            self.kept, self.saved = self.step, time.perf_counter()

    def summary(self):
        steps, seconds, count = self.step - self.first, self.clock.steps, len(self.runs.each)
        each = 1e3 * seconds / steps if steps else 0.0
        rest = ", ".join(f"{what} {x:.1f} s" for what, x in self.clock.named.items())
        told = f"{steps:,} steps of {count} runs in {duration(self.clock.seconds)}: {seconds:.1f} s"
        return f"{told}, {each:.3g} ms a step, {each / count:.3g} ms a step and run; {rest}"


def copied(tree):
    return jax.tree.map(jnp.copy, tree)


def at(tree, index):
    """One run of what is stacked."""
    return jax.tree.map(lambda x: x[index], tree)
