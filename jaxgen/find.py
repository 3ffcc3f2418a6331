"""Families found by file name: a name inside the package, or a path to a user's own file. Imports neither jax nor flax
until a family is loaded."""

import ast
import importlib
import importlib.util
import sys
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from jaxgen.errors import UserError

FOLDER = Path(__file__).parent / "families"


def names():
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def summary(name):
    """The first line of a family's docstring, read without importing it."""
    return (ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or "").partition("\n")[0]


def label(name):
    """What a run or a table calls a family: its file's name."""
    return Path(name).stem


def family(name):
    """The class that a name or a path stands for."""
    return module(name, "jaxgen").Family


def twin(name, file=None):
    """The PyTorch class of the same name; of `file`, where the family is a file of the user's own."""
    if file is None and is_path(name):
        raise UserError(f"{name}: a family of your own has its twin in a file of your own. Add --twin FILE.py.")
    return module(file or name, "torch_ref").Family


def is_path(name):
    return str(name).endswith(".py")


def module(name, package):
    if is_path(name):
        return own_family(Path(name).resolve())
    if name not in names():
        near = get_close_matches(name, names(), 1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(names())}, or give a FILE.py."
        raise UserError(f"unknown family {name!r}. {hint}")
    return importlib.import_module(f"{package}.families.{name}")


def own_family(path):
    """A user's file that holds a family."""
    loaded = own_module(path)
    if not hasattr(loaded, "Family"):
        raise UserError(f"{path}: expected a class named Family. See `python -c 'help(\"jaxgen.core\")'`.")
    return loaded


@cache
def own_module(path):
    """A user's file as a module, executed once."""
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    spec = importlib.util.spec_from_file_location(f"own_{path.stem}_{abs(hash(path))}", path)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded
