"""One compiled loop for every sampler: a scan over its steps, which keeps some frames on the way where they are asked
for, and the last image otherwise."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.errors import UserError


def loop(step, x, tables, frames=0):
    """`step(carry, row) -> carry` over the rows of `tables`, the image being carry[0]. -> the last image; with frames
    (frames, *x.shape): the first one, the last one, and others evenly between. Memory is that of the frames."""
    steps = len(jax.tree.leaves(tables)[0])
    if frames == 0:
        return jax.lax.scan(lambda carry, row: (step(carry, row), None), x, tables)[0][0]
    slots = jnp.asarray(places(steps, frames))
    kept = jnp.zeros((frames, *x[0].shape), x[0].dtype).at[0].set(x[0])

    def keeping(carry, row):
        (x, kept), (row, slot) = carry, row
        x = step(x, row)
        return (x, kept.at[slot].set(x[0], mode="drop")), None

    return jax.lax.scan(keeping, (x, kept), (tables, slots))[0][1]


def places(steps, frames):
    """For each step the slot of its frame; one that is not kept has none, which is one too many."""
    slots = np.full(steps, frames)
    slots[kept(steps, frames)[1:] - 1] = np.arange(1, frames)
    return slots


def kept(steps, frames):
    """The points of the frames among 0 ... steps."""
    if not 2 <= frames <= steps + 1:
        raise UserError(f"frames: expected 2 to {steps + 1}, the steps and the start, or 0 for none, got {frames}.")
    return np.round(np.linspace(0, steps, frames)).astype(int)
