"""`jaxgen --completion SHELL`: a script with which a shell completes commands, families, options and their choices. It
is made from the same signatures as the command line, and runs no Python when a key is pressed."""

from argparse import ArgumentParser
from typing import Any, Literal, get_args, get_origin

import shtab

from jaxgen import cli, find, sampling, settings, training
from jaxgen.data import builtin, look
from jaxgen.errors import UserError
from jaxgen.latent import command as codes
from jaxgen.oracle import command as judge
from jaxgen.parity import commands, table
from jaxgen.sweeping import command as sweeping

SHELLS = ("bash", "zsh", "fish")


def or_file(what, names):
    """One of these names, or a folder or a file, as shtab's shells have it."""
    names = " ".join(names)
    return {
        "bash": f"_jaxgen_{what}_or_file",
        "zsh": f"{{compadd -- {names}; _files}}",
        "fish": f"{names} (__fish_complete_path (commandline -ct))",
        "preamble": {"bash": f'_jaxgen_{what}_or_file() {{ compgen -W "{names}" -- "$1"; compgen -f -- "$1"; }}'},
    }


DATA, CASES = or_file("data", ("digits", *builtin.SHAPES)), or_file("case", find.names())


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
        train_one(names, name)


def train_one(names, name, more=None):
    """The options of a family; the function `more` has some too."""
    cls = find.family(name)
    known = {"recipe": tuple(getattr(cls, "recipes", {})), "data": DATA}
    family = names.add_parser(name, help=escaped(find.summary(name)))
    fill(family, *settings.every(cls, training.options, more), known)


def sweep(parser):
    """Families, and what is done with a sweep that was trained."""
    names = parser.add_subparsers()
    for name in find.names():
        train_one(names, name, sweeping.options)
    one = names.add_parser("take", help=escaped(sweeping.TAKE))
    fill(one, settings.signature(sweeping.take), settings.comments(sweeping.take), {}, sweeping.POSITIONAL)


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


def latent(parser):
    """After the folder of a run the actions, each with its options."""
    parser.add_argument("source", help="the folder of a run, or a file of weights").complete = shtab.FILE
    names = parser.add_subparsers()
    for name, (_, about) in codes.ACTIONS.items():
        one = names.add_parser(name, help=escaped(about), description=escaped(about))
        parameters, told = codes.options(name)
        del parameters["source"]
        fill(one, parameters, told, {"data": DATA, "family": tuple(find.names())})


def verify(parser):
    known = settings.signature(table.verify)
    fill(parser, known, settings.comments(table.verify), {"cases": CASES}, "cases")


def oracle(parser):
    fill(parser, settings.signature(judge.oracle), settings.comments(judge.oracle), {}, "tables")


def parity(parser):
    names = parser.add_subparsers()
    for name, (positional, about) in cli.PARITY.items():
        function = getattr(commands, name)
        one = names.add_parser(name, help=escaped(about), description=escaped(about))
        fill(one, settings.signature(function), settings.comments(function), {"case": CASES}, positional)


def look_at(parser):
    fill(parser, settings.signature(look.data), settings.comments(look.data), {"name": DATA}, "name")


FILLED = {"train": train, "sweep": sweep, "sample": sample, "latent": latent, "verify": verify, "oracle": oracle,
          "parity": parity, "data": look_at}  # fmt: skip


def fill(parser, parameters, told, known, positional=""):
    """An option a parameter; `known` are choices that its type does not say."""
    for name, parameter in parameters.items():
        kind, flag = parameter.annotation, f"--{name.replace('_', '-')}"
        if kind is bool:
            parser.add_argument(flag, f"--no-{flag[2:]}", action="store_true", help=escaped(told.get(name, "")))
            continue
        bare = name in positional.split()
        several, few = ("*" if bare else "+"), known.get(name) or choices(kind)
        action = parser.add_argument(
            name if bare else flag,
            nargs=several if get_origin(kind) is tuple else None,
            choices=None if isinstance(few, dict) else few or None,
            help=escaped(told.get(name, name)),
        )
        if isinstance(few, dict) or (not few and str in flat(kind)):  # a text that is not one of a few is a file
            action.complete = few or shtab.FILE


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
