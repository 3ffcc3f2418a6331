"""Which rows make the batch of a step."""

from functools import lru_cache

import numpy as np


def rows(length: int, count: int, seed: int, step: int) -> np.ndarray:
    """The `count` rows of step `step`: a function of (seed, step), each epoch a permutation, of which the
    incomplete last batch is dropped."""
    epoch, place = divmod(step, length // count)
    return order(length, seed, epoch)[place * count : (place + 1) * count]


@lru_cache(maxsize=2)
def order(length, seed, epoch):
    return np.random.default_rng([seed, epoch]).permutation(length).astype(np.int32)
