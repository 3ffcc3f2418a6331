"""Losses on held-out rows, in evaluation and with fixed draws: the same weights give the same numbers in every run."""

from functools import lru_cache

import jax
import numpy as np

from jaxgen import data, parallel

ROWS, KEY = 250, 0  # rows of a call; the key of all draws, whatever the seed of a run


def evaluate(family, params, stats, source, deterministic=False) -> dict[str, float]:
    """{metric: mean over the rows of `source`} of all players' losses."""
    told, counts = [], []
    for i, first in enumerate(range(0, len(source), ROWS)):
        rows = np.arange(first, min(first + ROWS, len(source)))
        told.append(losses(family, len(rows), deterministic)(params, stats, source.take(rows), i))
        counts.append(len(rows))
    each = jax.device_get(told)
    return {key: float(np.average([x[key] for x in each], weights=counts)) for key in each[0]}


@lru_cache(maxsize=4)
def losses(family, count, deterministic=False):
    """One compiled function a family and number of rows."""
    inputs = family.inputs(count)

    def run(params, stats, rows, i):
        with jax.default_matmul_precision("highest"):
            batch = data.scale(rows, inputs)
            draws = family.draw(jax.random.fold_in(jax.random.key(KEY), i), batch)
            told = [family.loss(name, params, stats, batch, draws, train=False)[1][0] for name in family.players]
        return {key: x for metrics in told for key, x in metrics.items()}

    return jax.jit(run, compiler_options=parallel.options(deterministic))
