"""One clear line for what a user can cause, with an exit code; and the one way to ask for an extra."""

import importlib
import os
import sys
from contextlib import contextmanager
from typing import get_args


class UserError(ValueError):
    """Input that cannot be used: what, where, expected, got, what to do."""

    code = 2


class Diverged(UserError):
    """A loss or a parameter that is not finite."""

    code = 3


class StorageError(UserError):
    """A folder that cannot be written, a checkpoint that cannot be read."""

    code = 4


class Stopped(KeyboardInterrupt):
    """Ctrl-C, or the system's wish to end the run; what was done is saved. Its code is the shell's for the signal."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


@contextmanager
def one_line(who):
    """What a user caused ends a command with one line and its exit code; with $JAXGEN_TRACEBACK also where it arose."""
    try:
        yield
    except UserError as error:
        if os.environ.get("JAXGEN_TRACEBACK"):
            raise
        print(f"{who}: {error}", file=sys.stderr)
        sys.exit(error.code)


@contextmanager
def writing(path):
    """What the system refuses while `path` is written, as one line."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror or error}).") from error


class MissingExtra(UserError):
    """A package that one of our extras installs is not there."""


def one_of(name, value, choices):
    """Refuses what is none of a Literal's values."""
    if value not in get_args(choices):
        raise UserError(f"{name}: expected one of {', '.join(map(str, get_args(choices)))}, got {value!r}.")


def needs(module, extra):
    """The imported module, or one line that names the extra to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.split(".")[0]:
            raise
        message = f"this needs {module.split('.')[0]}, which is not installed. Run: pip install 'jaxgen[{extra}]'"
        raise MissingExtra(message) from error
