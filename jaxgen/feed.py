"""What a call of several steps is given: numbers of rows where the data lies on the device, else the rows themselves,
decoded ahead of time."""

from itertools import count

import jax
import numpy as np

from jaxgen import axis, data
from jaxgen.functional import named


class Resident:
    """All of the data on the device, as bytes; a step is told which rows to take."""

    def __init__(self, source, plan, inputs):
        self.plan, self.inputs = plan, inputs
        self.arrays = source.whole()

    def __call__(self, step, count):
        """(most, rows) for `count` steps from `step` on."""
        return padded(np.stack([self.plan.rows(step + i) for i in range(count)]), self.plan.most)

    def nothing(self):
        return np.zeros((self.plan.most, len(self.plan.rows(0))), np.int32)

    def batch(self, rows, arrays):
        return data.scaled(arrays, self.inputs, rows)

    def close(self):
        pass


class Streamed:
    """The data on the host or on the disk; a step is given its rows, which were decoded while the device was busy."""

    arrays: dict = {}

    def __init__(self, source, plan, inputs, step=0):
        self.plan, self.inputs, self.source = plan, inputs, source
        self.ahead = data.ahead(source.take, map(plan.rows, count(step)), depth=plan.most)

    def __call__(self, step, count):
        steps = [next(self.ahead) for _ in range(count)]
        return jax.tree.map(lambda *x: padded(np.stack(x), self.plan.most), *steps)

    def nothing(self):
        rows = self.plan.rows(0)
        one = self.source.take(rows[:1])
        return {key: np.zeros((self.plan.most, len(rows), *x.shape[1:]), x.dtype) for key, x in one.items()}

    def batch(self, rows, arrays):
        return data.scale(rows, self.inputs)

    def close(self):
        self.ahead.close()


def padded(x, length):
    """Calls of fewer steps have arrays of the same shape, so that there is one program."""
    return np.concatenate([x, np.zeros((length - len(x), *x.shape[1:]), x.dtype)])


def mirrored(images, root, step):
    """Each image as it is or from right to left, drawn anew each step for the global batch."""
    key = named(jax.random.fold_in(root, step), "flip")
    turned = axis.share(jax.random.bernoulli(key, shape=(images.shape[0] * axis.size(),)))
    return jax.numpy.where(turned[:, None, None, None], images[:, :, ::-1], images)
