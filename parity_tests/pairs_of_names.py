"""Every family there is: those of the package by name, the toys of the tests as files of a user's own."""

from pathlib import Path

from jaxgen import find, parity

TOYS = Path(__file__).parent / "toys"
NAMES = [*find.names(), *(str(path) for path in sorted((TOYS / "ours").glob("*.py")))]


def twin_file(name):
    """The file of the twin, for a toy."""
    return str(TOYS / "theirs" / Path(name).name) if find.is_path(name) else None


CASES = [case for name in NAMES for case in parity.cases(name, twin_file(name))]
FIRST = {case.name: case for case in reversed(CASES)}  # the test-sized form of each family
