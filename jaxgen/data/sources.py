"""A source is one part of a data set: `len`, `keys`, `take(rows)`, `nbytes`. This one lies in memory; `folder.Files`
is decoded when it is taken."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from jaxgen.data import pixels


class Data(NamedTuple):
    """A data set: two sources, and what is known of them."""

    name: str
    train: Any
    test: Any
    classes: tuple[str, ...] = ()  # names of the labels 0, 1, ...
    flips: bool = True  # whether a mirrored image is still one of the set
    where: str = ""  # the file or folder it was found in


@dataclass(frozen=True, eq=False)
class Arrays:
    """`image` (N, H, W, C), uint8 or float32 in [0, 1], `label` int32 (N,), and whatever else has N rows."""

    leaves: dict[str, np.ndarray]
    where: str = "images"
    own: bool = False  # a user's own images are not resized unless asked to
    captions = None

    def __len__(self):
        return len(next(iter(self.leaves.values())))

    def __getitem__(self, key):
        return self.leaves[key]

    def keys(self):
        return self.leaves.keys()

    @property
    def nbytes(self):
        """Of everything, decoded."""
        return sum(x.nbytes for x in self.leaves.values())

    def take(self, rows) -> dict[str, np.ndarray]:
        """Rows of any shape, in front of that of a row."""
        return {key: x[rows] for key, x in self.leaves.items()}

    def whole(self) -> dict[str, np.ndarray]:
        return self.leaves

    def part(self, rows):
        """A source of these rows alone."""
        return replace(self, leaves=self.take(rows))

    def fitted(self, keys, target):
        """A source of these leaves, images as `target` says."""
        leaves = {key: self.leaves[key] for key in keys}
        if target:
            leaves["image"] = pixels.fitted(self.leaves["image"], target, self.where, self.own)
        return replace(self, leaves=leaves)


def held_out(name: str, source, **known) -> Data:
    """A fixed tenth becomes the test set."""
    order = np.random.default_rng(0).permutation(len(source))
    test, train = (np.sort(rows) for rows in np.split(order, [len(order) // 10]))
    return Data(name, source.part(train), source.part(test), **known)
