"""`jaxgen --completion SHELL`: a script with which a shell completes commands, families, options and their choices. It
is made from the same signatures as the command line, and runs no Python when a key is pressed."""

from argparse import ArgumentParser
from typing import Any, Literal, get_args, get_origin

import shtab

from jaxgen import find, sampling, settings, training
from jaxgen.data import builtin, look
from jaxgen.errors import UserError
from jaxgen.parity import table

SHELLS = ("bash", "zsh", "fish")
NAMES = " ".join(("digits", *builtin.SHAPES))
DATA = {  # a built-in set, a folder or a file
    "bash": "_jaxgen_data_or_file",
    "zsh": f"{{compadd -- {NAMES}; _files}}",
    "fish": f"{NAMES} (__fish_complete_path (commandline -ct))",
    "preamble": {"bash": f'_jaxgen_data_or_file() {{ compgen -W "{NAMES}" -- "$1"; compgen -f -- "$1"; }}'},
}


def script(shell: str, commands: dict[str, str]) -> str:
    """What `shell` has to read; `commands` are {name: what it is}."""
    if shell not in SHELLS:
        raise UserError(f"--completion: expected {', '.join(SHELLS)}, got {shell!r}.")
    root = ArgumentParser("jaxgen")
    root.add_argument("--version", action="store_true", help="which jaxgen this is")
    root.add_argument("--completion", choices=SHELLS, help="print such a script")
    names = root.add_subparsers()
    for name, about in commands.items():
        parser = names.add_parser(name, help=escaped(about), description=escaped(about))
        if name in FILLED:
            FILLED[name](parser)
    return shtab.complete(root, shell)


def train(parser):
    names = parser.add_subparsers()
    for name in find.names():
        cls = find.family(name)
        told: dict[str, str] = {}
        for function in (training.options, cls.__init__, cls.optimizers):
            told |= settings.comments(function)
        known = {"recipe": tuple(getattr(cls, "recipes", {})), "data": DATA}
        family = names.add_parser(name, help=escaped(find.summary(name)))
        fill(family, settings.parameters(cls, training.options), told, known)


def sample(parser):
    """With the arguments of all families: which one it is may stand later in the line."""
    parameters: dict[str, Any] = {}
    told: dict[str, str] = {}
    known = {"family": tuple(find.names())}
    for cls in map(find.family, find.names()):
        theirs, comments = sampling.options(cls)
        for name, parameter in theirs.items():
            known[name] = tuple(dict.fromkeys((*known.get(name, ()), *choices(parameter.annotation))))
        parameters, told = theirs | parameters, comments | told
    fill(parser, parameters, told, known, "source")


def verify(parser):
    known = settings.signature(table.verify)
    fill(parser, known, settings.comments(table.verify), {"families": tuple(find.names())}, "families")


def look_at(parser):
    fill(parser, settings.signature(look.data), settings.comments(look.data), {"name": DATA}, "name")


FILLED = {"train": train, "sample": sample, "verify": verify, "data": look_at}


def fill(parser, parameters, told, known, positional=""):
    """An option a parameter; `known` are choices that its type does not say."""
    for name, parameter in parameters.items():
        kind, flag = parameter.annotation, f"--{name.replace('_', '-')}"
        if kind is bool:
            parser.add_argument(flag, f"--no-{flag[2:]}", action="store_true", help=escaped(told.get(name, "")))
            continue
        several, few = ("*" if name == positional else "+"), known.get(name) or choices(kind)
        action = parser.add_argument(
            name if name == positional else flag,
            nargs=several if get_origin(kind) is tuple else None,
            choices=None if few is DATA else few or None,
            help=escaped(told.get(name, name)),
        )
        if few is DATA or (not few and str in flat(kind)):  # a text that is not one of a few is a file or a folder
            action.complete = DATA if few is DATA else shtab.FILE


def escaped(text):
    """argparse formats what it shows as help."""
    return text.replace("%", "%%")


def flat(kind):
    """The plain types in a type."""
    return [x for inner in get_args(kind) for x in flat(inner)] if get_args(kind) else [kind]


def choices(kind):
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(x for inner in get_args(kind) for x in choices(inner))
