"""Cases by name: a family of the package, a family's file with its twin, or a file that holds cases."""

from difflib import get_close_matches
from pathlib import Path

from jaxgen import find
from jaxgen.errors import UserError
from jaxgen.parity.pairs import Case, cases
from jaxgen.parity.strangers import Pair


def named(name, twin=None):
    """-> cases of `name`: a family, the path of one (`twin` is the file of its PyTorch side), or file.py[:case]."""
    path, _, wanted = name.partition(":")
    if not find.is_path(path):
        return list(cases(name))
    loaded = find.own_module(Path(path).resolve())
    if hasattr(loaded, "Family"):
        return list(cases(name, twin))
    found = {key: value for key, value in vars(loaded).items() if isinstance(value, Case | Pair)}
    if not found:
        raise UserError(
            f"{path}: expected a class named Family, or cases made by jaxgen.parity.case(...). See the README."
        )
    if wanted and wanted not in found:
        near = ", ".join(get_close_matches(wanted, found, 1)) or ", ".join(found)
        raise UserError(f"{path}: there is no case {wanted!r}. There is: {near}.")
    return [found[wanted]] if wanted else list(found.values())


def one(name, twin=None):
    """The first of them."""
    return named(name, twin)[0]
