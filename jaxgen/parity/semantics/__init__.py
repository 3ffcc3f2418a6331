"""The differences between PyTorch and JAX, Flax and Optax, each as a check that runs against what is installed.

A section is a module, a check a public function in it. Its docstring is the row of the table: the item, what torch
does, what one meets on the JAX side, what to do. It returns what it measured (`found.py`)."""

from difflib import get_close_matches

from jaxgen.errors import UserError


def semantics(
    only: str = "",  # rows whose name or text has this in it, in any case
    json: str | None = None,  # a file for all that was measured
    write: str | None = None,  # a file for the page in Markdown (docs/differences.md)
) -> bool:
    """Whether the differences between PyTorch and JAX are as the table says, on the versions installed; prints it."""
    from jaxgen.parity.semantics import page, rows, table

    if only and write:
        raise UserError("write: the page has all rows. Leave out --only.")
    chosen = rows.rows(only)
    if not chosen:
        near = get_close_matches(only, [row.name for row in rows.rows()], 1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(rows.SECTIONS)}."
        raise UserError(f"only: no row has {only!r} in its name or text. {hint}")
    checked = table.show(chosen)
    if json:
        page.write_json(json, checked)
    if write:
        page.write(write, checked)
    return all(not each.fault for each in checked)
