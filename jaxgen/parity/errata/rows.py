"""What a row of the errata is, and where the rows are found.

A row is a class `B<document>_<number>` in one of the modules `document_*`. Its docstring tells in two paragraphs what
is printed and how it is mended; `lines` and `severity` tell where and how bad it is; `until` is the part of the project
that will hold the mend, which until then is shown as a formula. `failure()` and `mended()` do it and tell what they
saw; they raise `NotSeen` when that is not what the docstring claims. Where a row is best told by curves, `curves()`
gives {name: (steps, values)} of both, and `axes` names what is along the two axes."""

import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import cache
from types import ModuleType
from typing import NamedTuple

from jaxgen.errors import UserError

STOPS, WRONG, HAZARD = "does not run", "wrong", "hazard"
STOPS_OR_WRONG = "does not run, or wrong"
PACKAGE = __name__.rpartition(".")[0]
Curves = dict[str, tuple[Sequence[float], Sequence[float]]]  # {name: (steps, values)}


class NotSeen(Exception):
    """Something else was observed."""


class Row(NamedTuple):
    """A class of a row, read."""

    id: str  # B1.9
    document: str  # 001
    lines: str
    severity: str
    printed: str
    mend: str
    until: str
    failure: Callable[[], str]
    mended: Callable[[], str]
    curves: Callable[[], Curves] | None = None
    axes: tuple[str, str] = ("step", "")

    @property
    def where(self):
        return f"document {self.document}, {'lines' if re.search('[-,]', self.lines) else 'line'} {self.lines}"


def seen(fact, told: str) -> str:
    """`told`, where it is a fact."""
    if not fact:
        raise NotSeen(told)
    return told


def raised(kind, part: str, call) -> str:
    """The error of this kind, with this in its message, that `call` raises."""
    try:
        call()
    except kind as error:
        return seen(part in str(error), f"{type(error).__name__}: {first_line(error)}")
    raise NotSeen(f"no {kind.__name__}")


def first_line(error):
    return textwrap.shorten(str(error).strip().partition("\n")[0], 160, placeholder=" ...")


@cache
def every() -> dict[str, Row]:
    """{id: row} in the order of the documents."""
    rows = [read(cls) for module in modules() for name, cls in vars(module).items() if re.fullmatch(r"B\d_\d+", name)]
    return {row.id: row for row in sorted(rows, key=lambda row: (row.document, int(row.id.partition(".")[2])))}


def modules() -> list[ModuleType]:
    """The modules of the documents; they import torch."""
    beside = pkgutil.walk_packages(importlib.import_module(PACKAGE).__path__, f"{PACKAGE}.")
    return [importlib.import_module(found.name) for found in beside if ".document_" in found.name]


def read(cls) -> Row:
    printed, mend = (" ".join(part.split()) for part in (inspect.getdoc(cls) or "").split("\n\n"))
    name, row = cls.__name__.replace("_", "."), cls()
    about = name, f"00{name[1]}", cls.lines, cls.severity, printed, mend, getattr(cls, "until", "")
    more = {key: getattr(row, key) for key in ("curves", "axes") if hasattr(row, key)}
    return Row(*about, row.failure, row.mended, **more)


def chosen(ids) -> list[Row]:
    """Those rows; all of them if none is named."""
    rows = every()
    for name in ids:
        if name.upper() not in rows:
            near = get_close_matches(name.upper(), rows, 1)
            hint = f"Did you mean {near[0]}?" if near else f"They go from {next(iter(rows))} to {list(rows)[-1]}."
            raise UserError(f"unknown row {name!r} of the errata. {hint}")
    return [rows[name.upper()] for name in ids] or list(rows.values())


def introduction(document: str) -> str:
    """What a document is: the docstring of its module or package."""
    return " ".join((importlib.import_module(f"{PACKAGE}.document_{document}").__doc__ or "").split())
