"""How long a run is, which rows of the data each step sees, and where it is cut: into calls, log lines, evaluations,
grids and checkpoints."""

import jax
import numpy as np

from jaxgen import core, data
from jaxgen.errors import UserError

RESIDENT = 2**30  # bytes of decoded images that are kept on the device; more are streamed
CHUNK = 2**28  # bytes of streamed images in one call
CALL = 1.0  # seconds that a call should take at most, so that Ctrl-C and the bar answer


class Plan:
    """`length` rows of data, `epoch` and `steps` in steps; `way` is how they are run."""

    def __init__(self, family, source, options):
        self.shares, self.used = core.shares(family), core.used(family)
        self.batch, self.seed, self.length = options["batch"], options["seed"], len(source)
        self.way = options["parallel"]
        if self.way == "auto":
            self.way = "sharded" if jax.local_device_count() > 1 else "jit"
        self.check(1 if self.way == "jit" else jax.device_count(), options["accumulate"])
        self.epoch = self.length // (self.batch * self.used)
        self.steps = max(1, int(options["epochs"] * self.epoch)) if options["steps"] is None else options["steps"]
        self.streams = options["stream"] == "yes" or (options["stream"] == "auto" and source.nbytes > RESIDENT)
        self.log_every, self.save_every = options["log_every"], options["save_every"]
        self.eval_every = options["eval_every"] or self.epoch
        self.grid_every = options["grid_every"] or max(1, self.steps // 10)
        self.snapshot_every = (options["snapshot_every"] or max(1, self.steps // 10)) if options["ema_widths"] else None
        row = source.nbytes / self.length if self.streams else 4
        self.most = max(1, min(self.log_every, self.steps, int(CHUNK / (row * self.batch * self.shares))))

    def check(self, devices, accumulate):
        if (need := self.batch * self.used) > self.length:
            raise UserError(f"batch {self.batch}: a step needs {need} rows, the data has {self.length}. Set --batch.")
        if rest := self.batch % (devices * accumulate):
            near = self.batch - rest or devices * accumulate
            what = f"{devices} devices" if devices > 1 else ""
            parts = " times ".join([what] * (devices > 1) + [f"{accumulate} accumulated parts"] * (accumulate > 1))
            jit = ", or --parallel jit" if devices > 1 else ""
            raise UserError(f"batch {self.batch} is not divisible by {parts}. Use {near}{jit}.")

    def count(self, step, rate):
        """Steps of the call that begins at `step`, at `rate` steps a second: to the next thing that is due."""
        every = self.log_every, self.eval_every, self.grid_every, self.save_every, self.snapshot_every
        due = min(n - step % n for n in every if n)
        return min(due, self.most, self.steps - step, max(1, int(rate * CALL)))

    def due(self, every, step):
        return every is not None and (step % every == 0 or step == self.steps)

    def rows(self, step):
        """The rows of one step; shares that no player looks at repeat the last one that is."""
        rows = data.rows(self.length, self.batch * self.used, self.seed, step)
        place = np.minimum(np.arange(self.shares), self.used - 1)
        return rows.reshape(-1, self.used)[:, place].reshape(-1)
