"""`jaxgen verify`: every case of the families asked for, a line each, the worst error of each level."""

from rich.console import Console
from rich.table import Table

from jaxgen import find
from jaxgen.errors import needs
from jaxgen.parity.pairs import cases
from jaxgen.parity.verify import verify as verify_case


def verify(
    families: tuple[str, ...] = (),  # names, or files; all families of the package if none is given
    twin: str | None = None,  # the PyTorch file of a family that is a file
) -> bool:
    """Whether every case holds at every level, in float64; prints the table."""
    needs("torch", "verify")
    console, results = Console(), []
    for name in families or find.names():
        for case in cases(name, twin):
            console.print(f"[dim]{case} ...[/dim]") if console.is_terminal else None
            results.append(verify_case(case))
    console.print(drawn(results))
    for result in results:
        if not result.ok:
            console.print(str(result), soft_wrap=True, highlight=False)
    return all(result.ok for result in results)


def drawn(results):
    """Errors stand in units of their gate's scale: the tensor's largest value, or the learning rate."""
    table = Table(title="jaxgen and torch_ref in float64: the worst error of each level")
    levels = [(row.level, row.gate) for row in max(results, key=len)]
    table.add_column("case", no_wrap=True)
    for level, gate in levels:
        table.add_column(f"{level}\n{gate:.0e}" if gate else f"{level}\nequal", justify="right")
    for result in results:
        rows = {row.level: row for row in result}
        table.add_row(result.case, *(cell(rows.get(level)) for level, _ in levels))
    return table


def cell(row):
    if row is None:
        return "[red]-[/red]"
    text = ("yes" if row.ok else "no") if row.gate == 0 and row.error in (0.0, 1.0) else f"{row.error:.0e}"
    return text if row.ok else f"[red]{text}[/red]"
