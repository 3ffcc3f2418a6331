"""The training loop: calls of several compiled steps, and what is due between them. The next call is under way while
the numbers of the last one are read."""

import time

import jax
import numpy as np

from jaxgen import checkpoint, core, evaluation, pictures, sampling, snapshots
from jaxgen.errors import Diverged, Stopped, UserError, writing
from jaxgen.guard import refuse_odd, signals
from jaxgen.progress import Bar, Clock, duration, losses
from jaxgen.setup import finite

SAVE = 120.0  # seconds between two checkpoints, where no number of steps is given
GRID = 64  # samples of a grid; of many classes more, which are made so many in a call: all at once may not fit


class Loop:
    """A run under way."""

    def __init__(self, setup, folder, state, step, callback=None):
        self.setup, self.folder, self.plan, self.family = setup, folder, setup.plan, setup.family
        self.first = self.step = self.kept = step  # a step that was loaded is saved
        self.callback, self.clock, self.bar = callback, Clock(), Bar(setup.plan, step)
        with self.clock("data"):
            self.source = setup.feed(step)
            self.call, self.state = setup.call(self.source), setup.placed(state)
            self.rest = jax.block_until_ready(setup.placed({"root": setup.root, "data": self.source.arrays}))
        self.flying, self.told, self.rate = None, [], 1.0
        self.earlier, self.saved, self.best = folder.seconds, time.perf_counter(), folder.best

    def run(self):
        """To the end of the plan, or until Ctrl-C, the system or the callback stops it; all is saved."""
        try:
            with self.bar, signals() as asked:
                self.compile()
                going = True
                while self.step < self.plan.steps and going and not asked:
                    self.dispatch(self.plan.count(self.step, self.rate))
                    going = self.attend()
                self.land()
                self.keep()
                self.bar.say(self.summary())
        except Diverged:
            self.keep_best()
            raise
        except UserError as error:
            if type(error) is UserError:  # an image that cannot be decoded, say: the steps before it are good
                self.land()
                self.keep()
            raise
        finally:
            self.source.close()
            self.folder.close()
        if asked and self.step < self.plan.steps:
            told = f"{self.folder.folder}: stopped at step {self.step}, saved. The same command goes on."
            raise Stopped(told, 128 + asked[0])

    def compile(self):
        """A call of no steps."""
        with self.clock("compiling"):
            self.state, told = self.call(self.state, self.source.nothing(), (np.int32(0), self.rest))
            jax.block_until_ready(told)
        self.read = time.perf_counter()

    def dispatch(self, count):
        """The next steps are on their way; then the numbers of those before are read, or first, where they are there: a
        GPU's host is busy with a loop until it ends, and would take the next one's time for nothing."""
        if self.flying and all(x.is_ready() for x in jax.tree.leaves(self.flying[-1])):
            self.land()
        xs = self.source(self.step, count)
        self.state, told = self.call(self.state, xs, (np.int32(count), self.rest))
        before, self.flying = self.flying, (self.step, count, told)
        self.step += count
        if before:
            self.settle(*before)

    def land(self):
        """Nothing is under way any more."""
        if self.flying:
            self.settle(*self.flying)
        self.flying = None

    def settle(self, first, count, told):
        """The numbers of steps that were made: refused where they are not finite, written where a line is due."""
        metrics, fine = jax.device_get(told)
        metrics = {key: x[:count].astype(np.float64) for key, x in metrics.items()}
        refuse_odd(metrics, fine, first, first + count)
        now, step = time.perf_counter(), first + count
        self.rate, self.read = count / max(now - self.read, 1e-9), now
        self.told.append(metrics)
        self.bar.advance(step, self.rate)
        if self.plan.due(self.plan.log_every, step):
            self.metrics = {key: float(np.concatenate([x[key] for x in self.told]).mean()) for key in metrics}
            self.told = []
            self.folder.log(step, self.seconds, self.metrics)
            self.bar.log(self.metrics, self.rate)

    def attend(self):
        """What is due at this step, for which the state must be at rest -> whether to go on."""
        plan, step = self.plan, self.step
        every = plan.log_every, plan.eval_every, plan.grid_every, plan.save_every, plan.snapshot_every
        log, test, grid, save, store = (plan.due(n, step) for n in every)
        # with a line of the log, so that none is of fewer steps in a run that was killed and began there
        save = save or (log and plan.save_every is None and time.perf_counter() - self.saved > SAVE)
        calls = self.callback and log
        if not (calls or test or grid or save or store):
            return True
        self.land()
        going = self.ask() if calls else True  # first: what it gives is what is looked at and saved
        if test and len(self.setup.test):
            self.evaluate()
        if grid:
            self.grid()
        if store:
            snapshots.write(self.folder, self.state)
        if save and step < plan.steps:
            self.keep()
        self.read = time.perf_counter()
        return going

    def ask(self):
        """The callback may look, stop the run, or give another state to go on with."""
        answer = self.callback(self.step, self.state, self.metrics)
        if isinstance(answer, core.State):
            self.state, self.kept = self.setup.placed(answer), None
            refuse_odd({}, jax.device_get(finite(self.state)), self.step, self.step)
        return answer is not False

    def evaluate(self):
        """Held-out losses; of the best state so far, by the metric that ranks runs, a copy is kept on the host."""
        with self.clock("evaluation"):
            told = evaluation.evaluate(self.family, *self.sampled, self.setup.test, self.setup.options["deterministic"])
            self.folder.log(self.step, self.seconds, {f"test_{key}": x for key, x in told.items()})
            rank = told.get(getattr(self.family, "ranks", None), np.nan)
            better = rank < (self.best.rank if self.best else np.inf)
            if better:
                self.best = checkpoint.Best(self.step, rank, jax.device_get(self.state))
        epoch = f"{self.step / self.plan.epoch:.4g}"
        self.bar.say(f"epoch {epoch}, held out:  {losses(told)}{'  (best)' if better else ''}")

    def grid(self):
        """The same noise each time; of classes a row each."""
        with self.clock("pictures"):
            rows = sampling.class_rows(self.family)
            count = sampling.COLUMNS * rows if rows else GRID
            images = sampling.images(self.family, *self.sampled, count, seed=self.plan.seed, batch=min(count, GRID))
            with writing(self.folder.folder):
                pictures.grid(images, self.folder.folder / "samples" / f"step_{self.step:06d}.png", rows=rows)

    def keep(self):
        """Weights before the checkpoint, which says that they are there; the curves are drawn while it is written."""
        if self.kept == self.step:  # saved again, it would not be there for a moment
            return
        with self.clock("checkpoints"):
            rank = self.best.rank if self.best and self.best.step == self.step else None
            self.folder.save_weights(self.state)
            self.keep_best()
            with checkpoint.saving(self.folder.checkpoints, self.step, self.state, rank), self.clock("pictures"):
                self.folder.draw_curves(self.bar.say)
        self.kept, self.saved = self.step, time.perf_counter()

    def keep_best(self):
        """The state that ranks best, where it is not on the disk yet: its weights, and a checkpoint if it is not the
        last."""
        if self.best and self.best.state is not None:
            self.folder.save_best(self.best.state)
            if self.best.step < self.step:
                checkpoint.save(
                    self.folder.checkpoints, self.best.step, jax.device_put(self.best.state), self.best.rank
                )
            self.best = self.best._replace(state=None)

    @property
    def sampled(self):
        """What samples and evaluations are of: the averages, where there are some."""
        state = self.state
        return (state.ema["params"], state.ema["stats"]) if state.ema else (state.params, state.stats)

    @property
    def seconds(self):
        """Since the run began, without the time in which it was stopped."""
        return self.earlier + self.clock.seconds

    def summary(self):
        steps, seconds = self.step - self.first, self.clock.steps
        each = f"{1e3 * seconds / steps:.3g} ms a step" if steps else ""
        rest = ", ".join(f"{what} {x:.1f} s" for what, x in self.clock.named.items())
        return f"{steps:,} steps in {duration(self.clock.seconds)}: {seconds:.1f} s, {each}; {rest}"
