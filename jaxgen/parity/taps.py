"""The output of every layer, by the layer's path, one for each call: the same dict from both sides."""

from contextlib import contextmanager
from functools import wraps

import jax
from flax import nnx


@contextmanager
def ours(family):
    """{path: outputs} of what is applied meanwhile; inside jit these are tracers, to be returned."""
    outputs = {}
    classes = {type(layer) for _, layer in nnx.iter_modules(family.module)}
    calls = {cls: cls.__dict__["__call__"] for cls in classes if "__call__" in cls.__dict__}

    def tapped(call):
        @wraps(call)
        def tap(layer, *args):
            result = call(layer, *args)
            if getattr(layer, "path", None):
                outputs.setdefault(layer.path, []).extend(jax.tree.leaves(result))
            return result

        return tap

    for cls, call in calls.items():
        cls.__call__ = tapped(call)
    try:
        yield outputs
    finally:
        for cls, call in calls.items():
            cls.__call__ = call


@contextmanager
def theirs(twin):
    """{path: outputs} of the modules that are called meanwhile."""
    outputs = {}

    def tap(path):
        def hook(module, args, result):
            outputs.setdefault(path, []).extend(jax.tree.leaves(result))

        return hook

    hooks = [module.register_forward_hook(tap(path)) for path, module in twin.named_modules() if path]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()
