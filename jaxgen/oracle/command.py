"""`jaxgen oracle`: what the oracle says of our samplers, losses and likelihoods, as tables."""

import sys
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table

from jaxgen.oracle.checks import TABLES

Name = Literal["relations", "samplers", "orders", "losses", "likelihoods", "controls"]


def oracle(
    tables: tuple[Name, ...] = (),  # which of the tables; all of them if none is given
    json: str | None = None,  # where to write all numbers
) -> bool:
    """Compare samplers, convergence orders, losses and likelihoods with what they must be, exactly; and see that faulty
    samplers are caught. True only if everything holds."""
    console, found = Console(), {}
    with console.status("") as status:
        for name in dict.fromkeys(tables or TABLES):
            status.update(name)
            found[name] = list(TABLES[name]())
            console.print(DRAWN[name](found[name]))
    failed = [row for rows in found.values() for row in rows if not row.ok]
    for row in failed:
        told = f"{row.name} {shown(row.at)}: expected {row.exact:.8g}, got {row.found:.8g}, {row.error:.1e} away"
        console.print(told, soft_wrap=True, highlight=False, markup=False)
    count = sum(map(len, found.values()))
    console.print(
        f"{len(failed)} of {count} numbers are wrong" if failed else f"all {count} numbers hold", highlight=False
    )
    if json:
        write(json, found, not failed)
    return not failed


def write(path, found, ok):
    from jaxgen import __version__
    from jaxgen.parity.environment import versions
    from jaxgen.parity.result import plain, write_json

    about = {"jaxgen": __version__, "command": " ".join(["jaxgen", *sys.argv[1:]]), "ok": ok, "environment": versions()}
    told = {name: [row._asdict() for row in rows] for name, rows in found.items()}
    write_json(plain(about | {"tables": told}), path)


def framed(title, caption, *columns):
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name, justify in columns:
        table.add_column(name, justify=justify, overflow="fold")
    return table


def shown(at):
    return ", ".join(f"{name} {value}" for name, value in at.items() if not isinstance(value, list))


def coloured(text, ok):
    return text if ok else f"[red]{text}[/red]"


def samplers(rows):
    """Two lines for each sampler and data: what must come out, and what comes out."""
    steps = list(dict.fromkeys(row.at["steps"] for row in rows))
    heads = [("sampler", "left"), ("data", "right"), ("", "left"), *((str(each), "right") for each in steps)]
    caption = "difference: the worst relative one of mean and standard deviation, at most 1e-6"
    title = "standard deviation of samples of N(0.7, data^2), by the number of steps"
    table = framed(title, caption, *heads, ("difference", "right"))
    groups: dict[tuple, list] = {}
    for row in rows:
        groups.setdefault((row.name, row.at["std"]), []).append(row)
    for (name, std), each in groups.items():
        values = [coloured(f"{row.exact:.8f}\n{row.found:.8f}", row.ok) for row in each]
        table.add_row(name, f"{std:g}", "exact\nours", *values, f"{max(row.error for row in each):.0e}")
    return table


def orders(rows):
    points = [f"error at {count}" for count in (72, 144, 288)]
    heads = [("solver", "left"), ("data", "left"), *((name, "right") for name in [*points, "order", "fitted"])]
    table = framed("orders of convergence", "fitted: the slope of log error against log N, within 0.1", *heads)
    for row in rows:
        errors = [f"{error:.4e}" for error in row.at["errors"]]
        table.add_row(row.name, row.at["data"], *errors, f"{row.exact:g}", coloured(f"{row.found:.4f}", row.ok))
    return table


def losses(rows):
    names = "floor", "the best network", "standard error", "away, in errors"
    caption = f"over {rows[0].at['draws']} draws; at most 3 standard errors away"
    table = framed("loss floors", caption, ("loss", "left"), *((name, "right") for name in names))
    for row in rows:
        values = f"{row.exact:.8f}", f"{row.found:.6f}", f"{row.at['standard_error']:.6f}"
        table.add_row(row.name, *values, coloured(f"{row.error:.1f}", row.ok))
    return table


def likelihoods(rows):
    names = "exact", "by the flow", "difference"
    table = framed("likelihoods", None, ("data", "left"), *((name, "right") for name in names), ("unit", "left"))
    for row in rows:
        told = f"{row.exact:.10f}", f"{row.found:.10f}", coloured(f"{row.error:.0e}", row.ok)
        table.add_row(row.name, *told, row.at["unit"])
    return table


def relations(rows):
    names = "exact", "ours", "difference", "at most"
    table = framed("schedules and what follows", None, ("", "left"), *((name, "right") for name in names))
    for row in rows:
        values = f"{row.exact:.10g}", f"{row.found:.10g}", coloured(f"{row.error:.0e}", row.ok), f"{row.bound:.0e}"
        table.add_row(row.name, *values)
    return table


def controls(rows):
    names = "data", "steps", "exact", "faulty", "difference"
    title = "faulty samplers: standard deviation of samples"
    table = framed(title, None, ("fault", "left"), *((name, "right") for name in names), ("", "left"))
    for row in rows:
        values = f"{row.at['std']:g}", str(row.at["steps"]), f"{row.exact:.8f}", f"{row.found:.8f}", f"{row.error:.0e}"
        table.add_row(row.name, *values, coloured("caught" if row.ok else "missed", row.ok))
    return table


DRAWN = {
    "relations": relations,
    "samplers": samplers,
    "orders": orders,
    "losses": losses,
    "likelihoods": likelihoods,
    "controls": controls,
}
