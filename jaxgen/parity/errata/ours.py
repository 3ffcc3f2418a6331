"""What several mends ask of a family: weights and shapes without compiling its initial distributions, and training."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import core, find
from jaxgen.functional import Functional
from jaxgen.parity import pairs


def filled(family):
    """Parameters and statistics of the family's shapes: positive random numbers, so that a variance is one too."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(family.init, jax.random.key(0))
    return jax.tree.map(lambda x: jnp.asarray(abs(rng.normal(size=x.shape)), x.dtype), shapes)


def begun(name, **arguments):
    """-> a family in its test size, and a state with the initial weights of its twin, moved a little."""
    cls, twin = find.family(name), find.twin(name)
    given = cls.small | arguments
    family = Functional(cls(**given))
    state = pairs.start(family, family.optimizers(), twin(**given).double())
    return family, jax.tree.map(jnp.asarray, state)


def trained(family, state, batch, steps, **how):
    """-> the state after so many steps with the same batch, the metrics of the last of them."""
    txs = family.optimizers(**how)
    one = lambda state, _: core.step(family, txs, state, batch, jax.random.key(1))
    state, told = pairs.quick(lambda state: jax.lax.scan(one, state, None, steps))(state)
    return state, {name: float(x[-1]) for name, x in told.items()}


def mean_of_samples(family, state, count=64):
    """The mean pixel of so many."""
    draws = family.draw_sample(jax.random.key(0), count)
    return float(pairs.quick(family.sample)(state.params, state.stats, draws).mean())


def shape_of_samples(family, count=2):
    """Of so many images, of which none is computed."""
    make = lambda key: family.sample(*family.init(key), family.draw_sample(key, count))
    return jax.eval_shape(make, jax.random.key(0)).shape
