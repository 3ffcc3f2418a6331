"""Gradients along what a net is given, to be differentiated once more, and their sizes."""

import jax
import jax.numpy as jnp
from flax import nnx


def slopes(net, call, x):
    """The gradient of `call(net, x)`, (N,), along the rows of x. Running statistics that it moves leave the
    differentiated program as values: what is written inside of it may not be read outside."""
    graph, *state = nnx.split(net, nnx.Param, nnx.BatchStat)
    arrays = [nnx.to_pure_dict(part) for part in state]

    def total(x):
        inside = nnx.merge(graph, *arrays)
        y = call(inside, x)
        return y.sum(), nnx.to_pure_dict(nnx.state(inside, nnx.BatchStat))

    slope, stats = jax.grad(total, has_aux=True)(x)
    nnx.update(net, stats)
    return slope


def row_norm(x):
    """(N, ...) -> (N,): the Euclidean norm of each row, with torch's gradient: 0 at 0, where JAX's is no number."""
    squares = (x**2).reshape(x.shape[0], -1).sum(1)
    some = squares > 0
    return jnp.where(some, jnp.sqrt(jnp.where(some, squares, 1)), 0)
