"""What is done to both sides of a case, and told in the same words: one turn of a player in training or in evaluation,
and samples. Names are torch's, images have their channels last."""

from contextlib import contextmanager
from functools import partial

import jax
import jax.numpy as jnp

from jaxgen import core
from jaxgen.errors import needs
from jaxgen.parity import pairs, taps
from jaxgen.weights import to_state_dict

MINIMISED = "minimised"  # the loss itself, beside the metrics that a family tells


def our_turn(family, name, train=True, compiled=None):
    """-> function of (params, stats, given), `compiled` once, `given` being {"batch": ..., "draws": ...} -> what
    `their_turn` tells."""
    trains = family.players[name].trains

    def loss(trained, floats, params, stats, given):
        both = joined(floats, given)
        return family.loss(name, {**params, **trained}, stats, both["batch"], both["draws"], train)

    def turn(params, stats, given):
        trained, floats = core.pick(params, trains), split(given)
        if not train:
            value, (metrics, _) = loss(trained, floats, params, stats, given)
            return {"losses": {MINIMISED: value, **metrics}}
        sloped = jax.value_and_grad(loss, (0, 1), has_aux=True)
        (value, (metrics, _)), slopes = sloped(trained, floats, params, stats, given)
        return {"losses": {MINIMISED: value, **metrics}, "gradients": slopes[0], "inputs": slopes[1]}

    run = taps.recorded(turn, family, compiled or pairs.quick)

    def told(params, stats, given):
        result, outputs = run(params, stats, given)
        if train:
            result["gradients"] = to_state_dict(result["gradients"], {})
        return {"outputs": outputs, **result}

    return told


def their_turn(twin, family, name, given, train=True):
    """-> {"outputs": of every layer, "losses": and metrics; in training also "gradients": by weights, "inputs":
    gradients by what was given}."""
    mine = pairs.to_torch(family, given, dtype_of(twin), device_of(twin))
    floats = {key: x.requires_grad_() for key, x in named(mine).items() if x.is_floating_point()}
    with taps.theirs(twin.train(train), getattr(family, "tapped", None)) as outputs, minimised(twin, name):
        run = needs("torch_ref.core", "verify").gradients
        metrics, grads = run(twin, name, mine["batch"], mine["draws"])
    laid = getattr(family, "laid_output", lambda path, x: pairs.from_torch(x))
    told = {"outputs": taps.numbered({path: [laid(path, x) for x in calls] for path, calls in outputs.items()})}
    told |= {"losses": pairs.arrays(metrics)}
    if not train:
        return told
    slopes = {key: x.new_zeros(x.shape) if x.grad is None else x.grad for key, x in floats.items()}
    return told | {
        "gradients": pairs.arrays(grads),
        "inputs": {key: pairs.back(family, key, x) for key, x in slopes.items()},
    }


@contextmanager
def minimised(twin, name):
    """What the player minimises joins its metrics: they need not tell it."""
    right = getattr(twin, f"{name}_loss")

    def loss(*given):
        value, metrics = right(*given)
        return value, {MINIMISED: value, **metrics}

    setattr(twin, f"{name}_loss", loss)
    try:
        yield
    finally:
        delattr(twin, f"{name}_loss")


def our_samples(family):
    return pairs.quick(family.sample)


def their_samples(twin, family, draws):
    with needs("torch", "verify").no_grad():
        return pairs.from_torch(twin.eval().sample(pairs.to_torch(family, draws, dtype_of(twin), device_of(twin))))


def dtype_of(twin):
    return next((x.dtype for x in twin.parameters()), needs("torch", "verify").float64)


def device_of(twin):
    return next((x.device for x in twin.parameters()), "cpu")


def named(tree):
    """{path: leaf}."""
    told = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): x for path, x in told}


def split(tree):
    """The floating leaves by path."""
    return {key: x for key, x in named(tree).items() if jnp.issubdtype(x.dtype, jnp.floating)}


def joined(floats, tree):
    name = partial(jax.tree_util.keystr, simple=True, separator=".")
    return jax.tree_util.tree_map_with_path(lambda path, x: floats.get(name(path), x), tree)
