"""The same arrays in torch, in linen, in nnx and in our layers. Images are (N, H, W, C) wherever torch is not asked."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen.errors import needs
from jaxgen.functional import Functional

torch = needs("torch", "verify")

# Compiling is nearly all the time of a check, and the formulas are the same without the passes that make them fast.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def quick(function, *args):
    """function(*args) as one program: JAX's way of one program for each operation compiles far more. Inside another
    such program it is part of that."""
    inside = any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(args))
    return function(*args) if inside else jax.jit(function, compiler_options=QUICK)(*args)


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def tensor(x, grad=False):
    return torch.tensor(np.asarray(x), requires_grad=grad)


def array(t):
    return t.detach().numpy().copy()


def nchw(x):
    return tensor(np.ascontiguousarray(np.moveaxis(x, -1, 1)))  # torch would keep the strides, which is channels_last


def nhwc(t):
    return np.moveaxis(array(t), 1, -1)


def arrays(layer):
    """{name: array} of a torch layer, made double."""
    return {name: array(x) for name, x in layer.double().state_dict().items()}


def flax(linen_layer, nnx_layer, x, **values):
    """What stock linen's layer and stock nnx's (a function of rngs) make of x with these parameters -> two arrays."""
    both = lambda x, values: [linen_layer.apply({"params": values}, x), filled(nnx_layer, **values)(x)]
    return quick(both, x, values)


def filled(nnx_layer, **values):
    """An nnx layer with these arrays, without drawing any first."""
    layer = nnx.eval_shape(lambda: nnx_layer(nnx.Rngs(0)))
    for name, value in values.items():
        getattr(layer, name).set_value(jnp.asarray(value))
    return layer


def ours(layer, state_dict, *xs, train=True):
    """What a layer of jaxgen.nn makes of each x in turn, and its statistics afterwards -> [y, ...], {name: array}."""
    pure = Functional(layer)
    named = lambda tree: unflatten_dict({path: jnp.asarray(state_dict[".".join(path)]) for path in tree})
    params, stats = map(named, pure.recipes)

    def run(params, stats, xs):
        ys = []
        for x in xs:
            y, stats = pure.apply(params, stats, x, train=train)
            ys.append(y)
        return ys, flatten_dict(stats, sep=".")

    return quick(run, params, stats, xs)


def slope(function, x):
    """The derivative of a torch function of each element, at every x."""
    x = tensor(x, grad=True)
    function(x).sum().backward()
    return array(x.grad)


def slope_jax(function, x):
    return quick(jax.grad(lambda x: function(x).sum()), x)


def raised(function):
    """The name of the error, or what is returned."""
    try:
        return function()
    except Exception as error:  # which one is the question
        return type(error).__name__


def agreed(*values):
    """The value that all have, or all values."""
    return values[0] if all(value == values[0] for value in values) else values
