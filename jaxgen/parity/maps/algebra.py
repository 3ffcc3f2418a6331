"""What a weight map may do to tensors: a few reversible steps, each of which can be told, undone and kept as JSON.

A step takes a list of arrays and gives a list of arrays; `inverse` may need the shapes that went in."""

from dataclasses import dataclass
from math import prod

import numpy as np

from jaxgen.errors import UserError


@dataclass(frozen=True)
class Permute:
    axes: tuple[int, ...]

    def apply(self, arrays):
        return [x.transpose(self.axes) for x in arrays]

    def inverse(self, shapes):
        return Permute(tuple(int(i) for i in np.argsort(self.axes)))

    def __str__(self):
        return f"permute {self.axes}"


@dataclass(frozen=True)
class Flip:
    axes: tuple[int, ...]

    def apply(self, arrays):
        return [np.flip(x, self.axes) for x in arrays]

    def inverse(self, shapes):
        return self

    def __str__(self):
        return f"flip {self.axes}"


@dataclass(frozen=True)
class Reshape:
    shape: tuple[int, ...]

    def apply(self, arrays):
        return [x.reshape(self.shape) for x in arrays]

    def inverse(self, shapes):
        return Reshape(tuple(shapes[0]))

    def __str__(self):
        return f"reshape {self.shape}"


@dataclass(frozen=True)
class Fold:
    """One axis holds a flattened image: from channels first (C, H, W) to channels last (H, W, C), or back."""

    axis: int
    shape: tuple[int, ...]  # channels first
    back: bool = False

    def apply(self, arrays):
        return [self.one(x) for x in arrays]

    def one(self, x):
        shape, to = (self.shape, (0, -1)) if not self.back else ((*self.shape[1:], self.shape[0]), (-1, 0))
        axis = self.axis % x.ndim
        image = np.moveaxis(x, axis, 0).reshape(*shape, -1)
        moved = np.moveaxis(image, *(i if i >= 0 else len(shape) - 1 for i in to))
        return np.moveaxis(moved.reshape(prod(shape), *np.delete(x.shape, axis)), 0, axis)

    def inverse(self, shapes):
        return Fold(self.axis, self.shape, not self.back)

    def __str__(self):
        letters = "C" + "DHW"[-len(self.shape[1:]) :]
        orders = [", ".join(letters), ", ".join(letters[1:] + letters[0])]
        return f"fold axis {self.axis} = {self.shape} from ({orders[self.back]}) to ({orders[not self.back]})"


@dataclass(frozen=True)
class Split:
    """One array into parts along an axis."""

    axis: int
    sizes: tuple[int, ...]

    def apply(self, arrays):
        (x,) = arrays
        if x.shape[self.axis] != sum(self.sizes):
            raise ValueError(f"axis {self.axis} has not {sum(self.sizes)} elements")
        return np.split(x, np.cumsum(self.sizes)[:-1], self.axis)

    def inverse(self, shapes):
        return Join(self.axis)

    def __str__(self):
        return f"split axis {self.axis} into {' + '.join(map(str, self.sizes))}"


@dataclass(frozen=True)
class Join:
    """Several arrays, end to end along an axis."""

    axis: int = 0

    def apply(self, arrays):
        return [np.concatenate(arrays, self.axis)]

    def inverse(self, shapes):
        return Split(self.axis, tuple(shape[self.axis] for shape in shapes))

    def __str__(self):
        return f"join along axis {self.axis}"


@dataclass(frozen=True)
class Stack:
    """Several arrays of one shape along a new axis."""

    axis: int = 0

    def apply(self, arrays):
        return [np.stack(arrays, self.axis)]

    def inverse(self, shapes):
        return Unstack(self.axis)

    def __str__(self):
        return f"stack along a new axis {self.axis}"


@dataclass(frozen=True)
class Unstack:
    axis: int = 0

    def apply(self, arrays):
        (x,) = arrays
        return [np.take(x, i, self.axis) for i in range(x.shape[self.axis])]

    def inverse(self, shapes):
        return Stack(self.axis)

    def __str__(self):
        return f"unstack axis {self.axis}"


Step = Permute | Flip | Reshape | Fold | Split | Join | Stack | Unstack
KINDS = {kind.__name__.lower(): kind for kind in (Permute, Flip, Reshape, Fold, Split, Join, Stack, Unstack)}


def permute(*axes):
    return Permute(axes)


def flip(*axes):
    return Flip(axes)


def reshape(*shape):
    return Reshape(shape)


def fold_chw(*shape, axis=0):
    """The axis of a weight that meets a flattened image: `fold_chw(C, H, W)` of a bias, `axis=1` of a Linear's weight
    behind a flatten."""
    return Fold(axis, shape)


def split(*sizes, axis=0):
    return Split(axis, sizes)


join, stack, unstack = Join, Stack, Unstack


def applied(steps, arrays):
    for step in steps:
        try:
            arrays = step.apply(arrays)
        except (ValueError, IndexError) as error:
            shapes = ", ".join(str(x.shape) for x in arrays)
            raise UserError(f"weight map: {step} is not possible for {shapes}: {error}.") from error
    return arrays


def undone(steps, arrays, shapes):
    """The arrays from which `steps` made these; `shapes` are theirs."""
    inverses, hollow = [], [np.empty(shape, bool) for shape in shapes]
    for step in steps:
        inverses.append(step.inverse([x.shape for x in hollow]))
        hollow = step.apply(hollow)
    return applied(inverses[::-1], arrays)


def told(steps):
    return ", ".join(map(str, steps)) or "as it is"
