"""A network that is trained comes to the least that its loss can be, and never below it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxgen import nn
from jaxgen.backbones.embeddings import sinusoidal
from jaxgen.diffusion import schedules
from jaxgen.functional import Functional
from jaxgen.oracle import Gaussian, floors

pytestmark = pytest.mark.slow
LEFT, STEPS, ROWS = schedules.linear(), 4000, 1024
PATH = schedules.discrete(LEFT, np.arange(1000))


class Tells(nnx.Module):
    """x (N, 1), node -> epsilon (N, 1)."""

    def __init__(self):
        self.main = nn.Sequential(nn.Linear(33, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))

    def __call__(self, x, node):
        return self.main(jnp.concatenate([x, sinusoidal(node.time, 32)], 1))


def trained(loss):
    """One scan of optimiser steps -> predict(x, node)."""
    net = Functional(Tells())
    params, _ = net.init(jax.random.key(0))
    tx, path = optax.adam(optax.cosine_decay_schedule(3e-3, STEPS)), schedules.at_least_single(PATH, jnp.zeros(1))

    def error(params, key):
        keys = jax.random.split(key, 3)
        node = path[jax.random.randint(keys[0], (ROWS,), 0, 1000)]
        x_0, noise = (jax.random.normal(key, (ROWS, 1)) for key in keys[1:])
        x = node.alpha[:, None] * x_0 + node.sigma[:, None] * noise
        return floors.LOSSES[loss](net.apply(params, {}, x, node)[0], noise)

    def step(carry, key):
        params, opt = carry
        updates, opt = tx.update(jax.grad(error)(params, key), opt)
        return (optax.apply_updates(params, updates), opt), None

    keys = jax.random.split(jax.random.key(1), STEPS)
    params = jax.jit(lambda carry: jax.lax.scan(step, carry, keys)[0][0])((params, tx.init(params)))
    return lambda x, node: net.apply(params, {}, x, node)[0]


@pytest.mark.parametrize("loss", floors.LOSSES)
def test_a_trained_network_comes_to_the_floor(loss):
    """131,072 draws that it never saw: within 2 %, and not below by more than three standard errors."""
    with jax.enable_x64(False):
        data = Gaussian(np.zeros(1, np.float32), np.ones(1, np.float32))
        mean, error = floors.held_out(trained(loss), "epsilon", data, PATH, jax.random.key(2), loss=loss)
    floor = floors.epsilon(LEFT, loss=loss)
    assert abs(mean / floor - 1) < 0.02 and mean > floor - 3 * error, (mean, error, floor)
