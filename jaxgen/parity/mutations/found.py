"""Mutations found by what they are: in `layers/` every function of a `layer`, in `steps/` every function of a
`family`."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, get_args

from jaxgen.parity.mutations import layers, steps


class Mutation(NamedTuple):
    """`plant(layer)` edits a layer of one of the `kinds`; `plant(family)` of a fault without kinds gives a context in
    which the fault is there. Either gives NotImplemented where it would be no fault. `about` says where such a port
    comes from, `cause` is what a diagnosis should call it."""

    name: str
    about: str
    plant: Callable[[Any], Any]
    kinds: tuple[type, ...] = ()
    cause: str | None = None


@cache
def mutations() -> list[Mutation]:
    return [*local(), *general()]


def local() -> list[Mutation]:
    """Faults of one layer."""
    return [in_layer(file, function) for file, function in functions(layers, "layer")]


def general() -> list[Mutation]:
    """Faults of losses, optimisers, steps and definitions."""
    return [Mutation(titled(*each), inspect.getdoc(each[1]) or "", each[1]) for each in functions(steps, "family")]


def in_layer(file, function):
    cause, _, about = (inspect.getdoc(function) or "").partition(": ")
    kind = function.__annotations__["layer"]
    return Mutation(titled(file, function), about, function, get_args(kind) or (kind,), cause)


def titled(file, function):
    """ "batch norm: eps" of the function `eps` in the file `batch_norm`."""
    return f"{file}: {function.__name__}".replace("_", " ")


def functions(package, argument):
    """(file, function) of each function with this one argument."""
    for file in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{file.name}")
        for value in vars(module).values():
            if inspect.isfunction(value) and value.__module__ == module.__name__:
                if list(inspect.signature(value).parameters) == [argument]:
                    yield file.name, value
