"""The rows of the table: found by name in their modules, read from docstrings, and checked."""

import importlib
import inspect
from collections.abc import Callable
from typing import NamedTuple

from jaxgen.errors import UserError, needs
from jaxgen.parity.semantics.found import Agrees, Broken, Differs, Fact

SECTIONS = (
    "convolutions", "transposed", "resizing", "pooling", "batch_norm", "norms", "spectral_norm", "activations",
    "losses", "attention", "initialisation", "optimizers", "adaptive", "training", "randomness", "numbers", "silence",
)  # fmt: skip


class Row(NamedTuple):
    section: str
    name: str
    item: str
    torch: str
    jax: str
    do: str
    check: Callable[[], Differs | Agrees | Fact]


class Checked(NamedTuple):
    row: Row
    found: Differs | Agrees | Fact | Broken

    @property
    def fault(self):
        """Nothing, or why the row is not true."""
        return self.found.fault(self.row)


def rows(only=""):
    """Every row, or those whose name or text has `only` in it."""
    every = [row for name in SECTIONS for row in section(importlib.import_module(f"{__package__}.{name}"))]
    return [row for row in every if only.lower() in "\n".join(row[:-1]).lower()]


def section(module):
    """The rows of a module: its public functions, in their order."""
    title, short = module.__doc__.strip(), module.__name__.rpartition(".")[2]
    own = lambda f: inspect.isfunction(f) and f.__module__ == module.__name__ and not f.__name__.startswith("_")
    checks = [function for function in vars(module).values() if own(function)]
    return [Row(title, f"{short}.{f.__name__}", **read(inspect.getdoc(f)), check=f) for f in checks]


def read(text):
    """{item, torch, jax, do} of a docstring; a line without a name goes on with the one before."""
    parts, last = {"item": ""}, "item"
    for line in text.splitlines():
        name, colon, rest = line.partition(": ")
        if colon and name in ("torch", "jax", "do"):
            last, line = name, rest
        parts[last] = f"{parts.get(last, '')} {line}".strip()
    return parts


def check(row):
    """Runs a row in float64 on the CPU, with the same random numbers each time. Nothing is switched for good."""
    import jax

    torch = needs("torch", "verify")
    try:
        with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Checked(row, row.check())
    except UserError:
        raise
    except Exception as error:  # whatever another version does, the other rows are checked
        return Checked(row, Broken(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"))


def versions():
    """{package: version}."""
    names = ("torch", "jax", "flax", "optax", "numpy")
    return {name: importlib.import_module(name).__version__.partition("+")[0] for name in names}
