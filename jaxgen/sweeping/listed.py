"""What sets the runs of a sweep apart: a seed, and numbers of which several are listed."""

import itertools
from typing import get_args

from jaxgen import settings
from jaxgen.errors import UserError


def listable(cls):
    """The numbers of a family's optimisers: a program is given them as arrays, one for each run."""
    return [name for name, parameter in settings.signature(cls.optimizers).items() if parameter.annotation is float]


def refuse(cls, name, value):
    """One line for an option that cannot be listed."""
    if name == "seed":
        raise UserError(f"seed {value}: expected one number, the first seed; how many there are is said by --seeds.")
    what = f"a sweep can list {', '.join(listable(cls)) or 'nothing of this family'}"
    raise UserError(f"{name} {value}: {what}; another {name} is another program. Start a sweep for each.")


def of_words(cls, known, words):
    """-> the words of a command line with the first value of each list, {option: values}."""
    words, lists = list(words), {}
    for place, word in enumerate(words):
        flag, equals, value = word.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or name not in known or text(known[name].annotation):
            continue
        value = value if equals else words[place + 1] if place + 1 < len(words) else ""
        if "," in value:
            lists[name] = numbers(cls, name, value)
            first = str(lists[name][0])
            words[place : place + (1 if equals else 2)] = [f"{flag}={first}"] if equals else [flag, first]
    return words, lists


def text(kind):
    """Whether a comma may stand in what an option is given."""
    return kind is str or str in get_args(kind)


def numbers(cls, name, value):
    """'1e-4,2e-4' as numbers."""
    if name not in listable(cls):
        refuse(cls, name, value)
    try:
        return tuple(float(part) for part in value.split(","))
    except ValueError as error:
        told = str(error).rpartition(": ")[2]
        raise UserError(f"{name} {value}: expected numbers with commas between them, got {told}.") from None


def of_arguments(cls, known, given):
    """-> the arguments of a call with the first value of each list, {option: values}."""
    is_list = lambda name, x: isinstance(x, tuple | list) and name in known and not several(known[name].annotation)
    lists = {name: tuple(x) for name, x in given.items() if is_list(name, x)}
    for name, values in lists.items():
        if name not in listable(cls):
            refuse(cls, name, values)
        if not values or not all(isinstance(x, int | float) for x in values):
            raise UserError(f"{name} {values}: expected a list of numbers.")
    return given | {name: values[0] for name, values in lists.items()}, lists


def several(kind):
    """Whether an option is a list in any run."""
    return getattr(kind, "__origin__", None) is tuple


def runs(seed, seeds, lists):
    """[{"seed": ..., option: value}]: for each combination of the values all seeds, each with its number as index."""
    if seeds < 1:
        raise UserError(f"seeds: expected at least 1, got {seeds}.")
    for name, values in lists.items():
        if twice := [x for x in values if values.count(x) > 1]:
            raise UserError(f"{name}: {twice[0]:g} is listed twice.")
    combinations = itertools.product(*([float(x) for x in values] for values in lists.values()))
    return [{"seed": seed + i, **dict(zip(lists, each, strict=True))} for each in combinations for i in range(seeds)]


def named(run):
    """A run in words: seed 1, lr 0.0002."""
    return ", ".join(f"{key} {x:g}" if key != "seed" else f"seed {x}" for key, x in run.items())
