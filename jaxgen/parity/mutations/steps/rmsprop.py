"""RMSprop that is nearly torch's."""

import optax

from jaxgen.parity.mutations.planting import Replaced


def rmsprop(**other):
    return Replaced(optax, "rmsprop", lambda right: lambda lr, **how: right(lr, **how | other))


def default_decay(family):
    """0.9, optax's default; torch's is 0.99."""
    return rmsprop(decay=0.9)


def eps_inside_the_root(family):
    """optax's default, eps_in_sqrt=True."""
    return rmsprop(eps_in_sqrt=True)


def average_begun_at_one(family):
    """initial_scale=1, as TensorFlow has it."""
    return rmsprop(initial_scale=1.0)
