"""The errata of the documents: each of their defects reproduced on this machine, and its mend shown."""

import json as jsons
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxgen.errors import needs, writing
from jaxgen.parity.errata import curves, page
from jaxgen.parity.errata.rows import Curves, NotSeen, Row, chosen, every, first_line


class Outcome(NamedTuple):
    """What a row was seen to do, and whether that is what it says."""

    row: Row
    reproduced: bool
    failure: str
    holds: bool
    mended: str
    curves: Curves

    @property
    def ok(self):
        return self.reproduced and self.holds


def errata(
    rows: tuple[str, ...] = (),  # of the list of defects, such as B1.9; all of them if none is given
    json: str | None = None,  # a file for what was observed
    write: str | None = None,  # a Markdown file for the page that explains every row
    plot: str | None = None,  # a PNG file for the curves of the rows that have some, such as B1.9
) -> bool:
    """Reproduce the defects of the documents and show their mends; true only if every failure occurs and every mend
    holds."""
    needs("torch", "verify")
    console, outcomes, todo = Console(), [], chosen(rows)
    if plot:
        curves.check(plot, todo)
    with console.status("") as status:
        for row in todo:
            status.update(row.id)
            outcomes.append(look(row))
            console.print(drawn(outcomes[-1]))
    for line in summary(outcomes):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if json:
        save(json, jsons.dumps([recorded(outcome) for outcome in outcomes], indent=1, ensure_ascii=False) + "\n")
    if write:
        save(write, page.markdown(every().values()))
    if plot and (told := [(f"{x.row.id}: {x.row.where}", x.curves, x.row.axes) for x in outcomes if x.curves]):
        curves.plot(plot, told)
    return all(outcome.ok for outcome in outcomes)


def look(row: Row) -> Outcome:
    failure, mended = observed(row.failure), observed(row.mended)
    done, drawn = observed(row.curves) if row.curves else (False, {})
    return Outcome(row, *failure, *mended, drawn if done else {})


def observed(call) -> tuple[bool, Any]:
    """Whether it was seen, and what was."""
    with alike(), jax.enable_x64(True):
        try:
            return True, call()
        except NotSeen as error:
            return False, str(error)
        except Exception as error:  # a row must not hide the others; that another torch stops here is an answer too
            return False, f"{type(error).__name__}: {first_line(error)}"


@contextmanager
def alike():
    """Every call of a row sees the same: torch's random numbers begin anew, and are put back. One thread, since in nets
    so small several only wait for each other."""
    torch = needs("torch", "verify")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield
    finally:
        torch.set_num_threads(threads)


def drawn(outcome):
    """A row of five lines or more: where, and what is printed, was observed, is mended, was observed then; and its
    curves."""
    row = outcome.row
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True, width=8)
    table.add_column(overflow="fold")
    state = f"waits for {row.until}" if row.until else "mended"
    table.add_row(Text(row.id, "bold"), Text(f"{row.where}: {row.severity}; {state}", "bold"))
    table.add_row(Text("printed", "dim"), Text(row.printed))
    table.add_row(*told(outcome.reproduced, outcome.failure))
    table.add_row(Text("mend", "dim"), Text(row.mend))
    table.add_row(*told(outcome.holds, outcome.mended))
    if outcome.curves:
        table.add_row(Text("curves", "dim"), curves.chart(outcome.curves, row.axes))
    table.add_row("", "")
    return table


def told(fine, text):
    return Text("observed" if fine else "differs", "green" if fine else "bold red"), Text(text, "" if fine else "red")


def summary(outcomes):
    """What fails, row by row, then the counts."""
    for row, reproduced, failure, holds, mended, _ in outcomes:
        if not reproduced:
            yield f"{row.id}: the failure does not occur: {failure}"
        if not holds:
            yield f"{row.id}: the mend does not hold: {mended}"
    occur, hold = sum(x.reproduced for x in outcomes), sum(x.holds for x in outcomes)
    waiting = Counter(x.row.until for x in outcomes if x.row.until)
    parts = ", ".join(f"{count} for {part}" for part, count in waiting.items())
    told = f"{waiting.total()} waiting ({parts})" if waiting else "none waiting"
    count, mended = len(outcomes), len(outcomes) - waiting.total()
    yield f"{occur} of {count} failures occur, {hold} of {count} mends hold; {mended} mended in jaxgen, {told}"


def recorded(outcome):
    row = outcome.row
    about = {"id": row.id, "document": row.document, "lines": row.lines, "severity": row.severity}
    failure = {"printed": row.printed, "reproduced": outcome.reproduced, "observed": outcome.failure}
    mend = {"mend": row.mend, "until": row.until, "holds": outcome.holds, "observed_then": outcome.mended}
    drawn = {name: {"steps": list(steps), "values": list(values)} for name, (steps, values) in outcome.curves.items()}
    return about | failure | mend | ({"axes": row.axes, "curves": drawn} if drawn else {})


def save(path, content):
    with writing(path):
        Path(path).write_text(content, encoding="utf-8")
