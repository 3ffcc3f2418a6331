"""The front door: thin functions over the library. Nothing heavy is imported before a command needs it."""

import os
import sys

from jaxgen import __version__
from jaxgen.errors import Stopped, UserError, one_line


def main(argv: list[str] | None = None):
    """The console command; exit codes: 1 a proof failed, 2 bad input, 3 diverged, 4 storage."""
    arguments = sys.argv[1:] if argv is None else argv
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    try:
        with one_line("jaxgen"):
            if command in ("-h", "--help"):
                print(overview())
            elif command == "--version":
                print(f"jaxgen {__version__}")
            elif command == "--completion":
                from jaxgen import completion

                about = {name: function.__doc__ or "" for name, function in COMMANDS.items()}
                print(completion.script(rest[0] if rest else "", about))
            elif command in COMMANDS:
                sys.exit(COMMANDS[command](rest))
            else:
                from difflib import get_close_matches

                near = get_close_matches(command, COMMANDS, 1)
                raise UserError(f"unknown command {command!r}. {f'Did you mean {near[0]}?' if near else overview()}")
    except RuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error) or os.environ.get("JAXGEN_TRACEBACK"):
            raise
        told = str(error).splitlines()[0].rpartition("RESOURCE_EXHAUSTED:")[2].strip().rstrip(".")
        print(
            f"jaxgen: the device has too little memory ({told}). Try a smaller --batch.",
            file=sys.stderr,
        )
        sys.exit(2)
    except Stopped as stop:
        print(f"jaxgen: {stop}", file=sys.stderr)
        sys.exit(stop.code)
    except KeyboardInterrupt:
        print(f"jaxgen {command}: stopped", file=sys.stderr)
        sys.exit(130)


def overview():
    lines = "\n".join(f"  {name:8s} {function.__doc__}" for name, function in COMMANDS.items())
    about = f"jaxgen {__version__}: generative models in Flax, each proven equal to its PyTorch twin."
    shell = 'eval "$(jaxgen --completion bash)" lets the shell complete commands and options (also zsh, fish).'
    more = f"jaxgen COMMAND --help says more. JAXGEN_TRACEBACK=1 shows where an error arose.\n{shell}"
    return f"{about}\n\n{lines}\n\n{more}"


def train(arguments):
    """Train a family: jaxgen train FAMILY|FILE.py [options]."""
    if not arguments or arguments[0].startswith("-"):
        print("usage: jaxgen train FAMILY|FILE.py [options]\n")
        return listed([])
    from jaxgen import programs, training

    options = asked("train", *arguments)
    programs.keep()
    training.run(arguments[0], options)


def asked(command, name, *rest, more=None):
    """{option: value} of a run as a command line says it, a recipe's where it is silent; the arguments of the function
    `more` are options too."""
    from jaxgen import describe, find, settings, training

    cls = find.family(name)
    recipe = settings.choose(cls, *named_before(rest, "recipe", "data"))
    values = settings.defaults(cls, training.options, recipe)
    if any(word.split("=")[0] == "--epochs" for word in rest):
        values["steps"] = None
    known, told = settings.every(cls, training.options, more)
    options = settings.form("options", known, {key: x.default for key, x in known.items()} | values, told)
    parsed = settings.parse(options, rest, f"jaxgen {command} {name}", describe.recipes(cls, recipe))
    if recipe:
        source, printed, chosen = cls.recipes[recipe]
        print(f"recipe {recipe}: {source}" + (f"; chosen by us: {', '.join(chosen)}" if printed and chosen else ""))
    return settings.checked(vars(parsed))


def sweep(arguments):
    """Train many runs as one program: jaxgen sweep FAMILY|FILE.py --seeds N --lr A,B [options], or take RUN INDEX."""
    from jaxgen.sweeping import command

    command.run(arguments)


def named_before(arguments, *names):
    """Options that decide about the other ones."""
    from argparse import ArgumentParser

    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    for name in names:
        parser.add_argument(f"--{name}", nargs="?")  # a missing value is told later, in one line
    known, _ = parser.parse_known_args(arguments)
    return [getattr(known, name) for name in names]


def sample(arguments):
    """Images of a run or of files of weights: jaxgen sample RUN|FILE [options]."""
    from jaxgen import find, programs, sampling, settings, source

    (family,) = named_before(arguments, "family")
    cls = find.family(family) if family else source.family_of_run(arguments)
    known, told = sampling.options(cls, whole=bool(family))
    form = settings.form("sample", known, {name: x.default for name, x in known.items()}, told, "source")
    given = vars(settings.parse(form, arguments, "jaxgen sample", sampling.sample.__doc__))
    # a family's argument that is not given is the file's, not the signature's
    said = {word.partition("=")[0].lstrip("-").removeprefix("no-").replace("-", "_") for word in arguments}
    options = {name: x for name, x in given.items() if name in said or name in settings.signature(sampling.sample)}
    name = f"{'frames' if given['frames'] else 'seed'}_{given['seed']}.png"
    options["out"] = given["out"] or str(source.folder(given["source"]) / name)
    programs.keep()
    sampling.sample(**options)


def latent(arguments):
    """Codes of images: jaxgen latent RUN encode|decode|reconstruct|interpolate|traverse|embed|likelihood."""
    from jaxgen.latent import command

    command.run(arguments)


def look(arguments):
    """What is in a data set: jaxgen data NAME|FOLDER|FILE [options]."""
    from jaxgen import settings
    from jaxgen.data.look import data

    settings.call(data, arguments, "jaxgen data", "name")


def verify(arguments):
    """Prove that ports equal their PyTorch twins: jaxgen verify [FAMILY|FILE.py[:CASE] ...]."""
    from jaxgen import settings
    from jaxgen.parity import table

    return 0 if settings.call(table.verify, arguments, "jaxgen verify", "cases") else 1


def oracle(arguments):
    """Compare samplers, losses and likelihoods with exact values: jaxgen oracle [TABLE ...]."""
    from jaxgen import settings
    from jaxgen.oracle import command

    return 0 if settings.call(command.oracle, arguments, "jaxgen oracle", "tables") else 1


def parity(arguments):
    """Look behind a proof: jaxgen parity map|diagnose|freeze|replay|semantics|errata."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        print("usage: jaxgen parity COMMAND [options]\n")
        print("\n".join(f"  {command:10s} {about}" for command, (_, about) in PARITY.items()))
        return 0
    if name not in PARITY:
        raise UserError(f"unknown command 'parity {name}'. There are {', '.join(PARITY)}.")
    from jaxgen import settings
    from jaxgen.parity import commands

    return 0 if settings.call(getattr(commands, name), rest, f"jaxgen parity {name}", PARITY[name][0]) else 1


PARITY = {  # what is given without its name, and what the command is for
    "map": ("case", "Which tensor of one side is which of the other, and weights converted by it."),
    "diagnose": ("case", "The layer that is wrong, the cause and the cure; and how often that is right."),
    "freeze": ("case", "Keep a case with its float64 truth in a folder."),
    "replay": ("folder", "Compare with a frozen truth, without PyTorch."),
    "semantics": ("only", "Where PyTorch and JAX differ, measured with the versions installed here."),
    "errata": ("rows", "The defects of the documents, reproduced and mended: jaxgen parity errata [B1.9 ...]."),
}


def listed(arguments):
    """The families there are."""
    from jaxgen import find

    wide = max(map(len, find.names()))
    print("\n".join(f"  {name:{wide}s} {find.summary(name)}" for name in find.names()))


COMMANDS = {
    "train": train,
    "sweep": sweep,
    "sample": sample,
    "latent": latent,
    "data": look,
    "verify": verify,
    "oracle": oracle,
    "parity": parity,
    "list": listed,
}
