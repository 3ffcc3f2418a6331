"""The output of every layer, by the layer's path, one for each call: the same dict from both sides."""

from contextlib import contextmanager
from functools import wraps

import jax
import numpy as np
from flax import nnx


def recorded(function, family, compiled):
    """`function`, `compiled`; each call of it gives its result and {path (call n): output} of the layers that ran,
    inside grad and scan too: each layer hands its values to the host."""
    outputs: dict[str, list] = {}

    def traced(*args):
        with tapping(family, outputs):
            return function(*args)

    run = compiled(traced)

    def call(*args):
        outputs.clear()
        result = jax.block_until_ready(run(*args))
        jax.effects_barrier()
        return result, numbered(outputs)

    return call


def numbered(outputs):
    return {f"{path} (call {i + 1})": x for path, calls in outputs.items() for i, x in enumerate(calls)}


def tapping(family, outputs):
    """While it lasts, whatever the layers of `family` return is kept in `outputs`."""
    keep = lambda path, result: [send(outputs, path, x) for x in jax.tree.leaves(result)]
    return family.tapping(keep) if hasattr(family, "tapping") else patched(family.module, keep)


def send(outputs, path, x):
    keep = lambda words: outputs.setdefault(path, []).append(from_words(words, x))
    jax.debug.callback(keep, to_words(x), ordered=True)


@contextmanager
def patched(module, keep):
    """The classes of an NNX module tell `keep` what their instances return, by the `path` that the border gave them."""
    classes = {type(layer) for _, layer in nnx.iter_modules(module)}
    calls = {cls: cls.__dict__["__call__"] for cls in classes if "__call__" in cls.__dict__}

    def tapped(call):
        @wraps(call)
        def tap(layer, *args, **kwargs):
            result = call(layer, *args, **kwargs)
            if path := getattr(layer, "path", None):
                keep(path, result)
            return result

        return tap

    for cls, call in calls.items():
        cls.__call__ = tapped(call)
    try:
        yield
    finally:
        for cls, call in calls.items():
            cls.__call__ = call


@contextmanager
def theirs(twin, only=None):
    """{path: outputs} of the modules that are called meanwhile; of `only` these, where a stranger's pair has partners,
    and of each the first thing it returns."""
    outputs: dict[str, list] = {}

    def tap(path):
        def hook(module, args, result):
            leaves = [x for x in jax.tree.leaves(result) if hasattr(x, "detach")]
            outputs.setdefault(path, []).extend(leaves if only is None else leaves[:1])

        return hook

    modules = {path: module for path, module in twin.named_modules() if path and (only is None or path in only)}
    hooks = [module.register_forward_hook(tap(path)) for path, module in modules.items()]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def to_words(x):
    """JAX runs a callback in a thread that knows nothing of enable_x64 and would round its values to float32; as 32-bit
    words they arrive as they are."""
    return jax.lax.bitcast_convert_type(x, np.uint32) if x.dtype.itemsize == 8 else x


def from_words(words, like):
    return np.array(words, order="C").view(like.dtype).reshape(like.shape)
