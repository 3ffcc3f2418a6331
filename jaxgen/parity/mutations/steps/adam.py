"""Adam and AdamW that are nearly torch's."""

from functools import partial
from unittest.mock import patch

import jax
import jax.numpy as jnp
import optax

from jaxgen.parity import pairs
from jaxgen.parity.mutations.planting import Replaced


def adamw(change):
    """`change(right, lr, b1, b2, weight_decay)` makes what the family's optax.adamw becomes; of its eps only what says
    another is wrong."""

    def make(right):
        def made(lr, b1=0.9, b2=0.999, eps=1e-8, *, weight_decay=1e-4):
            return change(partial(right, eps=eps), lr, b1, b2, weight_decay)

        return made

    return Replaced(optax, "adamw", make)


def other_b1(family):
    """0.9 for 0.5 and the like: the first step does not show it."""
    return adamw(lambda right, lr, b1, b2, decay: right(lr, b1 - 0.1, b2, weight_decay=decay))


def other_b2(family):
    """0.999 for 0.99 and the like: the first step does not show it."""
    return adamw(lambda right, lr, b1, b2, decay: right(lr, b1, b2 - 0.1, weight_decay=decay))


def keras_eps(family):
    """1e-7, Keras' default."""
    return adamw(lambda right, lr, b1, b2, decay: right(lr, b1, b2, eps=1e-7, weight_decay=decay))


def eps_inside_the_root(family):
    """optax's eps_root, another place for the same number."""
    return adamw(lambda right, lr, b1, b2, decay: right(lr, b1, b2, eps=0.0, eps_root=1e-8, weight_decay=decay))


def nesterov(family):
    """NAdam, the neighbour in the list."""
    return adamw(lambda right, lr, b1, b2, decay: right(lr, b1, b2, weight_decay=decay, nesterov=True))


def no_bias_correction(family):
    """As in BERT's first optimiser."""

    def change(right, lr, b1, b2, decay):
        return optax.chain(uncorrected(b1, b2), optax.add_decayed_weights(decay), optax.scale_by_learning_rate(lr))

    return adamw(change)


def uncorrected(b1, b2, eps=1e-8):
    right = optax.scale_by_adam(b1, b2, eps)

    def update(grads, state, params=None):
        _, state = right.update(grads, state, params)
        return jax.tree.map(lambda mu, nu: mu / (jnp.sqrt(nu) + eps), state.mu, state.nu), state

    return optax.GradientTransformation(right.init, update)


def decays(ours):
    """Whether AdamW has a decay to be wrong about."""
    with patch.object(optax, "adamw", wraps=optax.adamw) as asked:
        ours.optimizers(lr=pairs.LR)
    return any(call.kwargs.get("weight_decay") for call in asked.call_args_list)


def decay_of_the_gradient(family):
    """torch's Adam(weight_decay=...), an L2 term that passes through the averages."""
    change = lambda right, lr, b1, b2, decay: optax.chain(optax.add_decayed_weights(decay), optax.adam(lr, b1, b2))
    return adamw(change) if decays(family) else NotImplemented


def decay_not_times_the_rate(family):
    """Loshchilov and Hutter's own formula, where torch multiplies the decay with the rate."""
    change = lambda right, lr, b1, b2, decay: right(lr, b1, b2, weight_decay=decay / lr)
    return adamw(change) if decays(family) else NotImplemented


def decay_of_another_default(family):
    """1e-4, optax's default; torch's is 1e-2."""
    change = lambda right, lr, b1, b2, decay: right(lr, b1, b2)
    return adamw(change) if decays(family) else NotImplemented


def biases_not_decayed(family):
    """A mask for arrays of one axis, usual in JAX; torch decays all parameters of a group."""
    matrices = lambda params: jax.tree.map(lambda x: x.ndim > 1, params)
    change = lambda right, lr, b1, b2, decay: right(lr, b1, b2, weight_decay=decay, mask=matrices)
    return adamw(change) if decays(family) else NotImplemented
