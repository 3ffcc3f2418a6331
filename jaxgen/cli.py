"""The front door: thin functions over the library. Nothing heavy is imported before a command needs it."""

import sys

from jaxgen import __version__
from jaxgen.errors import UserError


def main(argv: list[str] | None = None):
    """The console command; exit codes: 1 a proof failed, 2 bad input, 3 diverged, 4 storage."""
    arguments = sys.argv[1:] if argv is None else argv
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    try:
        if command in ("-h", "--help"):
            print(overview())
        elif command == "--version":
            print(f"jaxgen {__version__}")
        elif command in COMMANDS:
            sys.exit(COMMANDS[command](rest))
        else:
            from difflib import get_close_matches

            near = get_close_matches(command, COMMANDS, 1)
            raise UserError(f"unknown command {command!r}. {f'Did you mean {near[0]}?' if near else overview()}")
    except UserError as error:
        print(f"jaxgen: {error}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        print(f"jaxgen {command}: stopped", file=sys.stderr)
        sys.exit(130)


def overview():
    lines = "\n".join(f"  {name:8s} {function.__doc__}" for name, function in COMMANDS.items())
    about = f"jaxgen {__version__}: generative models in Flax, each proven equal to its PyTorch twin."
    return f"{about}\n\n{lines}\n\njaxgen COMMAND --help says more."


def train(arguments):
    """Train a family: jaxgen train FAMILY|FILE.py [options]."""
    if not arguments or arguments[0].startswith("-"):
        print("usage: jaxgen train FAMILY|FILE.py [options]\n")
        return listed([])
    import tyro

    from jaxgen import find, settings, training

    name, rest = arguments[0], arguments[1:]
    cls = find.family(name)
    recipe = settings.choose(cls, *named_before(rest))
    values = settings.defaults(cls, training.options, recipe)
    if any(word.split("=")[0] == "--epochs" for word in rest):
        values["steps"] = None
    told: dict[str, str] = {}
    for function in (training.options, cls.__init__, cls.optimizers):
        told |= settings.comments(function)
    options = settings.form("options", settings.parameters(cls, training.options), values, told)
    parsed = tyro.cli(options, args=rest, prog=f"jaxgen train {name}", description=described(cls, recipe))
    if recipe:
        source, printed, chosen = cls.recipes[recipe]
        print(f"recipe {recipe}: {source}" + (f"; chosen by us: {', '.join(chosen)}" if printed and chosen else ""))
    training.run(name, settings.checked(vars(parsed)))


def named_before(arguments):
    """--recipe and --data, which decide the other defaults."""
    from argparse import ArgumentParser

    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--recipe")
    parser.add_argument("--data")
    known, _ = parser.parse_known_args(arguments)
    return known.recipe, known.data


def described(cls, recipe):
    """What the help says above the options."""
    recipes = "".join(f"\n  {name}: {value.source}" for name, value in getattr(cls, "recipes", {}).items())
    return f"{sys.modules[cls.__module__].__doc__}\n\nRecipes (defaults below: {recipe or 'none'}):{recipes}"


def sample(arguments):
    """Images of a run: jaxgen sample RUN [options]."""
    from jaxgen import sampling, settings

    settings.call(sampling.sample, arguments, "jaxgen sample", "run")


def verify(arguments):
    """Prove that families equal their PyTorch twins: jaxgen verify [FAMILY|FILE.py ...]."""
    from jaxgen import settings
    from jaxgen.parity import table

    return 0 if settings.call(table.verify, arguments, "jaxgen verify", "families") else 1


def listed(arguments):
    """The families there are."""
    from jaxgen import find

    print("\n".join(f"  {name:8s} {find.summary(name)}" for name in find.names()))


COMMANDS = {"train": train, "sample": sample, "verify": verify, "list": listed}
