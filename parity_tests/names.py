"""Every family there is: those of the package by name, the toys of the tests as files of a user's own. Needs no
torch."""

from pathlib import Path

from jaxgen import find
from jaxgen.functional import Functional

TOYS = Path(__file__).parent / "toys"
NAMES = [*find.names(), *(str(path) for path in sorted((TOYS / "ours").glob("*.py")))]


def twin_file(name):
    """The file of the twin, for a toy."""
    return str(TOYS / "theirs" / Path(name).name) if find.is_path(name) else None


def small(name):
    """The test-sized form of a family."""
    cls = find.family(name)
    return Functional(cls(**cls.small))
