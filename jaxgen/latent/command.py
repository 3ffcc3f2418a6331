"""`jaxgen latent RUN ACTION`: an action from a command line, its options and their help from signatures."""

import inspect
from difflib import get_close_matches

from jaxgen import cli, find, latent, programs, settings
from jaxgen import source as sources
from jaxgen.errors import UserError
from jaxgen.latent import opening

ACTIONS = {  # where the result goes when nobody says (likelihood prints it), and what the action is for
    "encode": ("encode.npz", "The codes of images, as an npz file."),
    "decode": ("decode.png", "The images of codes."),
    "reconstruct": ("reconstruct.png", "Images, and what the model makes of their codes."),
    "interpolate": ("interpolate.png", "From one image to another through their codes."),
    "traverse": ("traverse.png", "What each dimension of the code does, those first that say most."),
    "embed": ("embed.png", "A map of the images by their codes, in two dimensions."),
    "likelihood": ("", "Negative ELBO and importance-weighted estimate of held-out images."),
}
REST = ("self", "given", "arguments")
KINDS = {"source": str, "out": str | None, "codes": str}  # of a command line, where Python takes more


def run(arguments):
    """The action is the second word; or the first, to ask for its help."""
    if not arguments or arguments[0] in ("-h", "--help"):
        return print(overview())
    name, rest = named(arguments)
    (family,) = cli.named_before(rest, "family")
    known, told = options(name, find.family(family) if family else None)
    form = settings.form(name, known, {key: x.default for key, x in known.items()}, told, "source")
    about = inspect.getdoc(getattr(latent, name))
    given = vars(settings.parse(form, rest, f"jaxgen latent RUN {name}", about))
    # a family's argument that is not given is the file's, not the signature's
    said = {word.partition("=")[0].lstrip("-").removeprefix("no-").replace("-", "_") for word in rest}
    given = {key: x for key, x in given.items() if key in said or key in options(name)[0]}
    if not given["out"] and ACTIONS[name][0]:
        given["out"] = str(folder(given["source"]) / ACTIONS[name][0])
    programs.keep()
    found = getattr(latent, name)(**given)
    if name == "likelihood":
        print(found)


def named(arguments):
    """-> the action, the other words."""
    if place := next((place for place in (2, 1) if place <= len(arguments) and arguments[place - 1] in ACTIONS), 0):
        return arguments[place - 1], arguments[: place - 1] + arguments[place:]
    if len(arguments) < 2 or arguments[1].startswith("-"):
        raise UserError(f"latent {arguments[0]}: which action? There are {', '.join(ACTIONS)}.")
    near = get_close_matches(arguments[1], ACTIONS, 1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(ACTIONS)}."
    raise UserError(f"unknown action {arguments[1]!r}. {hint}")


def folder(source):
    """latent/ of a run, or beside the first file."""
    beside = sources.folder(source)
    return beside if sources.is_files(source) else beside.with_name("latent")


def options(name, cls=None):
    """-> {option: parameter}, {option: help} of an action: its own, those of the model and the data, and the arguments
    of a family whose weights are of no run."""
    functions = [getattr(latent, name), opening.model if name == "decode" else opening.opened]
    known: dict[str, inspect.Parameter] = {}
    told: dict[str, str] = {}
    for function in functions + ([cls.__init__] if cls else []):
        theirs = {key: x for key, x in settings.signature(function).items() if key not in REST}
        if cls and function is cls.__init__ and (twice := known.keys() & theirs.keys()):
            raise UserError(f"{cls.__module__}: {min(twice)!r} has two meanings. Rename the family's argument.")
        known |= {key: x.replace(annotation=KINDS.get(key, x.annotation)) for key, x in theirs.items()}
        told = settings.comments(function) | told
    first = lambda item: item[1].default is not inspect.Parameter.empty
    return dict(sorted(known.items(), key=first)), told


def overview():
    lines = "\n".join(f"  {name:12s} {about}" for name, (_, about) in ACTIONS.items())
    return f"usage: jaxgen latent RUN ACTION [options]\n\n{lines}\n\njaxgen latent RUN ACTION --help says more."
