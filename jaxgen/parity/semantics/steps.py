"""Sixty steps of an optimiser on either side."""

import jax
import jax.numpy as jnp

from jaxgen.errors import needs
from jaxgen.parity.semantics.sides import array, normal, quick, tensor

torch = needs("torch", "verify")

START, PULLS = normal(8), normal(60, 8)


def torch_steps(make):
    """-> parameters after the steps; the gradient is the parameter plus a pull of each step's own."""
    leaf = tensor(START, grad=True)
    optimizer = make([leaf])
    for pull in PULLS:
        leaf.grad = leaf.detach() + tensor(pull)
        optimizer.step()
    return array(leaf)


def optax_steps(tx):
    """The same by a transformation of optax."""

    def step(carry, pull):
        x, state = carry
        update, state = tx.update(x + pull, state, x)
        return (x + update, state), None

    return quick(lambda x: jax.lax.scan(step, (x, tx.init(x)), jnp.asarray(PULLS))[0][0], START)
