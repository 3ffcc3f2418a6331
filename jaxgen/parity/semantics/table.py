"""The table on a terminal, while it is checked."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxgen.parity.semantics.found import cells
from jaxgen.parity.semantics.rows import check, versions

LEGEND = """off by: the error of what one would write on the JAX side, at least; left: of what is to be done, at most.
In units of the largest value, in float64 where the row names no other type. ∞: another shape, NaN, or an error. Nothing
under off by: a fact, or both agree as they are."""


def show(rows):
    """Checks the rows and prints them, a section at a time -> list of Checked."""
    console, done = Console(), []
    for title in dict.fromkeys(row.section for row in rows):
        with console.status(title):
            checked = [check(row) for row in rows if row.section == title]
        console.print(drawn(title, checked))
        done += checked
    console.print(LEGEND.replace("\n", " "), style="dim", highlight=False)
    console.print(", ".join(f"{name} {version}" for name, version in versions().items()), highlight=False)
    false = [each for each in done if each.fault]
    for each in false:
        console.print(f"{each.row.name}: {each.fault}", style="red", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{len(done) - len(false)} of {len(done)} rows are true", highlight=False)
    return done


def drawn(title, checked):
    """An item in bold with its two numbers, its texts below."""
    table = Table(
        title=title, title_justify="left", title_style="bold green", box=None, padding=(0, 2, 0, 0), expand=True
    )
    table.add_column("", style="cyan", no_wrap=True)
    table.add_column("", ratio=1)
    table.add_column("off by", justify="right", no_wrap=True)
    table.add_column("left", justify="right", no_wrap=True)
    for row, found in checked:
        table.add_row("", Text(row.item, style="red" if found.fault(row) else "bold"), *cells(found))
        for name in ("torch", "jax", "do"):
            table.add_row(name, Text(getattr(row, name)))
        table.add_row()
    return table
