"""One run of a stranger's port, in NNX, in Linen or as a function, in training or in evaluation."""

import inspect

import jax
import jax.numpy as jnp
from flax import linen, nnx

from jaxgen.errors import UserError
from jaxgen.parity.maps import linen_side, nnx_side

TRAINING = {"train": True, "training": True, "is_training": True, "deterministic": False, "use_running_average": False}
DROPOUT, ATTENTION = (
    nnx.Dropout | linen.Dropout,
    nnx.MultiHeadAttention | linen.MultiHeadDotProductAttention,
)


def ready(model, args):
    """A model of arrays: Linen's are made on the inputs. Attention of NNX drops nothing, and tells its rate as Dropout
    does."""
    if isinstance(model, nnx.Module):
        model = nnx.clone(model)
        for _, one in nnx.iter_modules(model):
            if isinstance(one, ATTENTION):
                one.rate, one.dropout_rate = one.dropout_rate, 0.0
    elif isinstance(model, linen.Module):
        how = switches(model, train=False)
        with jax.enable_x64(True):
            init = jax.jit(lambda key: model.init(key, *map(jnp.asarray, args), **how))
            model = model, init(jax.random.key(0))
    elif isinstance(model, tuple) and not linen_side.holds(model):
        raise UserError(f"case: jax: a tuple is the pair (linen module, variables), got {model!r}.")
    return model


def holds_arrays(model):
    return isinstance(model, nnx.Module | tuple)


def switches(module, train):
    """What the call of a model, or of a layer, names the mode."""
    known = inspect.signature(module.__call__).parameters
    return {
        name: value if train else not value
        for name, value in TRAINING.items()
        if name in known and getattr(module, name, None) is None
    }


def run(model, forward, args, train, paths, watch):
    """-> output, {path: array} of all arrays afterwards. `forward` is the user's own way to call the model; `watch`
    answers the calls of dropouts, of attention and of the layers at `paths`."""
    if not holds_arrays(model):
        return model(*args), {}
    return (run_nnx if isinstance(model, nnx.Module) else run_linen)(model, forward, args, train, paths, watch)


def run_nnx(model, forward, args, train, paths, watch):
    model.train() if train else model.eval()
    drops = {nnx_side.join(path) for path, one in nnx.iter_modules(model) if isinstance(one, DROPOUT | ATTENTION)}
    with nnx_side.watched(model, paths | drops, watch):
        out = forward(model, *args) if forward else model(*args, **switches(model, train))
    return out, {path: x[...] for path, x in nnx_side.flat_state(model).items()}


def run_linen(model, forward, args, train, paths, watch):
    module, variables = model
    with linen_side.watched(model, None, watch):
        if forward:
            return forward(model, *args), linen_side.flat_variables(variables)
        changing = [name for name in variables if name != "params"]
        how = switches(module, train)
        out, moved = module.apply(variables, *args, mutable=changing if train else [], **how)
    return out, linen_side.flat_variables({**variables, **moved})


def active_rate(module, inputs):
    """The rate at which a module drops, 0 if it does not now. Attention of Linen, which exists only in this call, is
    stopped here."""
    rate = getattr(module, "rate", 0.0)
    if isinstance(module, linen.MultiHeadDotProductAttention):
        rate = module.dropout_rate
        object.__setattr__(module, "dropout_rate", 0.0)
    idle = next((x for x in inputs[1:] if isinstance(x, bool)), module.deterministic)
    return 0.0 if idle else rate
