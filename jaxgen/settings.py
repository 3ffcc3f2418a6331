"""What a run can be told: the options of every run, of the family's constructor and of its optimizers, in one flat
list. A recipe gives them other defaults."""

import contextlib
import dataclasses
import functools
import inspect
import io
import itertools
import tokenize
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_origin

from jaxgen.errors import UserError, one_of


def parameters(cls, loop) -> dict[str, inspect.Parameter]:
    """{option: parameter} of the loop, of the family and of its optimizers."""
    merged: dict[str, inspect.Parameter] = {}
    for function in (loop, cls.__init__, cls.optimizers):
        for name, parameter in signature(function).items():
            if name != "self" and merged.setdefault(name, parameter) is not parameter:
                raise UserError(
                    f"{cls.__module__}: the option {name!r} has two meanings. Rename the family's argument."
                )
    return merged


def every(cls, loop, more=None):
    """-> {option: parameter}, {option: help} of a command that trains; `more` has options of its own."""
    functions = [loop, cls.__init__, cls.optimizers]
    known, own = parameters(cls, loop), signature(more) if more else {}
    if twice := known.keys() & own.keys():
        raise UserError(f"{cls.__module__}: {min(twice)!r} has two meanings. Rename the family's argument.")
    told: dict[str, str] = {}
    for function in [more, *functions] if more else functions:
        told |= comments(function)
    return {**own, **known}, told


def signature(function):
    """{argument: parameter}; annotations as they are meant, also where a file postpones their evaluation."""
    return inspect.signature(function, eval_str=True).parameters


def recipe(cls, name: str) -> dict[str, Any]:
    """What a recipe's source prints, and what we chose."""
    return cls.recipes[name]._asdict() | {"name": name} if name else {}


def defaults(cls, loop, recipe: str) -> dict[str, Any]:
    """{option: value} of a recipe; what it does not say is the signature's default."""
    values = {name: parameter.default for name, parameter in parameters(cls, loop).items()}
    told = cls.recipes[recipe].chosen | cls.recipes[recipe].printed if recipe else {}
    return values | told | {"recipe": recipe}


def choose(cls, recipe: str | None, data: str | None) -> str:
    """The recipe asked for; that for the digits where these are the data; else the first."""
    recipes = getattr(cls, "recipes", {})
    if recipe and recipe not in recipes:
        near = ", ".join(get_close_matches(recipe, recipes, 1)) or ", ".join(recipes) or "none"
        raise UserError(f"unknown recipe {recipe!r}. There is: {near}.")
    return recipe or ("digits" if data == "digits" and "digits" in recipes else next(iter(recipes), ""))


def resolve(cls, loop, given: dict[str, Any]) -> dict[str, Any]:
    """Every option of a run: those given, else the recipe's, else the defaults."""
    known = parameters(cls, loop)
    for name in given:
        if name not in known:
            raise UserError(f"unknown option {name!r}. {nearest(name, known)}")
    values = defaults(cls, loop, choose(cls, given.get("recipe"), given.get("data")))
    if "epochs" in given and "steps" not in given:
        values["steps"] = None  # a length that is given replaces the recipe's, whichever way that is counted
    choices(known, given)
    return checked(values | given)


def choices(known, given):
    """Refuses a value that is none of its parameter's choices."""
    for name, value in given.items():
        if get_origin(known[name].annotation) is Literal:
            one_of(name, value, known[name].annotation)


def nearest(name, known, dash=""):
    near = get_close_matches(name, known, 1)
    return f"Did you mean {dash}{near[0]}?" if near else f"There are {', '.join(known)}."


LEAST = {"batch": 1, "accumulate": 1, "steps": 1, "log_every": 1, "eval_every": 1, "grid_every": 1, "save_every": 1,
         "snapshot_every": 1, "workers": 1, "seed": 0, "warmup": 0, "clip": 0}  # fmt: skip


def checked(values: dict[str, Any]) -> dict[str, Any]:
    """The options of every run, within their bounds."""
    for name, least in LEAST.items():
        if values[name] is not None and not values[name] >= least:
            raise UserError(f"{name}: expected at least {least}, got {values[name]}.")
    if values["steps"] is None and not values["epochs"] > 0:
        raise UserError(f"epochs: expected more than 0, got {values['epochs']}.")
    if not 0 <= values["ema"] < 1:
        raise UserError(f"ema: expected a decay in [0, 1), got {values['ema']}.")
    if values["ema_warmup"] and not values["ema"]:
        raise UserError("ema_warmup: there is no average. Give its decay, --ema.")
    if values["snapshot_every"] and not values["ema_widths"]:
        raise UserError("snapshot_every: there is nothing to store. Give --ema-widths.")
    return values


def of(function, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that are arguments of `function`."""
    return {name: settings[name] for name in signature(function) if name in settings}


def comments(function) -> dict[str, str]:
    """{argument: the comment behind it}: the documentation of an argument stands beside it."""
    lines = io.StringIO(inspect.getsource(function)).readline
    found: dict[str, str] = {}
    name = None
    for token in tokenize.generate_tokens(lines):
        if token.type == tokenize.NAME and token.line.strip().startswith(token.string):
            name = token.string
        elif token.type == tokenize.COMMENT and name and token.line.strip().startswith(name):
            found.setdefault(name, token.string.lstrip("# "))
    return {key: text for key, text in found.items() if key in signature(function)}


def form(name, parameters, values, told, positional=""):
    """A dataclass from which tyro makes a command line: an option a parameter, `values` as defaults, `told` as help;
    `positional` are given without their names."""
    import tyro

    fields = []
    for key, parameter in parameters.items():
        extra = [tyro.conf.arg(help=told[key])] if key in told else []
        extra += [tyro.conf.Positional] if key in positional.split() else []
        kind = functools.reduce(lambda kind, more: Annotated[kind, more], extra, parameter.annotation)
        default = {} if values[key] is inspect.Parameter.empty else {"default": values[key]}
        fields.append((key, kind, dataclasses.field(**default)))
    return dataclasses.make_dataclass(name, fields)


def call(function, arguments, prog, positional=""):
    """`function` with its arguments from a command line, `positional` of them without their names."""
    known = signature(function)
    values = {name: parameter.default for name, parameter in known.items()}
    options = form(function.__name__, known, values, comments(function), positional)
    return function(**vars(parse(options, arguments, prog, function.__doc__)))


def parse(options, arguments, prog, description):
    """tyro's answer; what it refuses becomes one line."""
    import tyro

    known = [field.name.replace("_", "-") for field in dataclasses.fields(options)]
    for word in arguments:
        name = word.partition("=")[0].removeprefix("--")
        if word.startswith("--") and name.replace("_", "-").removeprefix("no-") not in (*known, "help"):
            raise UserError(f"unknown option --{name}. {nearest(name, known, '--')}")
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(options, args=arguments, prog=prog, description=description)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UserError(f"{first_paragraph(told.getvalue())} See {prog} --help.") from None


def first_paragraph(box):
    """What tyro's box says first, as one line. It is drawn with lines or, on a plain terminal, with dashes under a
    title."""
    lines = [line.strip("\u2502 ") for line in box.splitlines()]
    drawn = lambda line: not line.strip("-") or line[0] in "\u256d\u2570\u2500"
    parts = [" ".join(part) for rule, part in itertools.groupby(lines, drawn) if not rule]
    text = parts[0] if box.startswith("\u256d") else parts[1]
    return text if text.endswith(".") else text + "."
