"""`jaxgen verify`: every case of the families asked for, a line each, the worst error of each level."""

from rich import box
from rich.console import Console
from rich.table import Table

from jaxgen import find
from jaxgen.parity.pairs import cases
from jaxgen.parity.verify import verify as verify_case

COLUMNS = {  # what stands in a column: the levels, and the gate below the name
    "layers": (("outputs",), "1e-9"),
    "loss": (("losses", "metrics"), "1e-9"),
    "grad": (("gradients",), "1e-9"),
    "weight": (("weights",), "1e-8"),
    "stats": (("statistics",), "1e-9"),
    "ema": (("averages",), "1e-8"),
    "sample": (("samples",), "1e-9"),
}


def verify(
    families: tuple[str, ...] = (),  # names, or files; all families of the package if none is given
    twin: str | None = None,  # the PyTorch file of a family that is a file
) -> bool:
    """Whether every case holds at every level, in float64; prints the table."""
    console, results = Console(), []
    todo = [case for name in families or find.names() for case in cases(name, twin if find.is_path(name) else None)]
    with console.status("") as status:
        for i, case in enumerate(todo):
            status.update(f"{i + 1} of {len(todo)}: {case}")
            results.append(verify_case(case))
    console.print(drawn(results))
    for result in results:
        if left_out := dict.fromkeys(name for row in result for name in row.left_out):
            told = f"{result.case}: left out, their gradient is hardly more than round-off: {', '.join(left_out)}"
            console.print(told, soft_wrap=True, highlight=False)
    failed = [result for result in results if not result.ok]
    for result in failed:
        console.print(str(result), soft_wrap=True, highlight=False)
    console.print(f"{len(failed)} of {len(results)} cases differ" if failed else f"all equal in {len(results)} cases")
    return not failed


def drawn(results):
    """A layer's error stands in units of its largest value, that of a weight in units of the learning rate. Names and
    signatures have no column: where they differ, it is told below."""
    title, caption = "jaxgen and PyTorch in float64: the worst errors", "weight and ema in units of the learning rate"
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("case\ngate", no_wrap=True)
    for name, (_, gate) in COLUMNS.items():
        table.add_column(f"{name}\n{gate}", justify="right", no_wrap=True)
    for result in results:
        table.add_row(str(result.case), *(cell(result, levels) for levels, _ in COLUMNS.values()))
    return table


def cell(result, levels):
    rows = [row for row in result if row.level in levels]
    if not rows:
        return "[red]missing[/red]"
    if not any(row.compared for row in rows) and all(row.ok for row in rows):
        return "-"  # a net without statistics, say
    worst = max(rows, key=lambda row: (not row.ok, row.error))
    return f"{worst.error:.0e}" if worst.ok else f"[red]{worst.error:.0e}[/red]"
