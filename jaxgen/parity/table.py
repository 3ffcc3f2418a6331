"""`jaxgen verify`: every case asked for, a line each, the worst error of each level."""

import sys
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table

from jaxgen import find
from jaxgen.parity.named import named
from jaxgen.parity.processes import spread
from jaxgen.parity.result import report, rung_line, write_json
from jaxgen.parity.verify import STEPS, TRAJECTORY
from jaxgen.parity.verify import verify as verify_case

COLUMNS = {  # what stands in a column: the levels, and the gate below the name
    "layers": (("outputs",), "1e-9"),
    "losses": (("losses", "metrics"), "1e-9"),
    "grads": (("gradients", "inputs", "clipping"), "1e-9"),
    "eval": (("evaluation",), "1e-9"),
    "unkind": (("adversarial",), "1e-9"),
    "weights": (("weights", "averages"), "1e-8"),
    "state": (("optimizer", "statistics"), "1e-9"),
    "sample": (("samples",), "1e-9"),
    "run": (("trajectory",), "1e-9"),
}
SHOWN = 4  # names of what is left out
Rung = Literal["float32", "tf32", "bf16", "f16", "all"]


def verify(
    cases: tuple[str, ...] = (),  # families, files of families, or FILE.py[:CASE]; all of the package if none is given
    twin: str | None = None,  # the PyTorch file of a family that is a file
    rung: tuple[Rung, ...] = (),  # precisions to judge beside float64: float32, tf32, bf16, f16, or all of this machine
    level: tuple[str, ...] = (),  # only these levels (names of the JSON file)
    steps: int = STEPS,  # optimiser steps compared in full
    trajectory: int = TRAJECTORY,  # steps of which the losses are compared, of each family's first case and each net
    processes: int = 0,  # that share the cases; 0: one a core (one alone beside an accelerator)
    mutate: bool = False,  # plant faults, and see that each is caught
    json: str | None = None,  # where to write all results
    html: str | None = None,  # where to write them as a page
) -> bool:
    """Whether every case holds at every level, in float64; prints the table."""
    from jaxgen.parity import ladder

    console, results = Console(), []
    todo = [(each, i) for each in cases or find.names() for i in range(len(named(each, twin)))]
    rungs = ladder.available() if "all" in rung else rung
    how = dict(steps=steps, trajectory=trajectory, only=level, rungs=rungs, details=bool(html or json))
    with console.status(of(todo, "case")) as status:
        for result in spread(verified, [(name, i, twin, how) for name, i in todo], processes):
            results.append(result)
            status.update(f"{len(results)} of {len(todo)} cases, the last: {result.case}")
    tell(console, results, rungs)
    mutations = mutated(console, cases, twin, processes) if mutate else []
    told = report(results, mutations, " ".join(["jaxgen", *sys.argv[1:]]))
    if json:
        write_json(told, json)
    if html:
        from jaxgen.parity.report import write

        write(told, html)
    return told["ok"]


def verified(name, i, twin, how):
    """The result of the case, that can be sent to another process; of one that differs also the diagnosis."""
    case = named(name, twin)[i]
    result = verify_case(case, **how | ({} if getattr(case, "long", True) else {"trajectory": 0}))
    if not result.ok:
        from jaxgen.parity.diagnosis import diagnose

        result.shown["diagnosis"] = diagnose(case, result).to_json()
    result.case = str(case)
    return result


def tell(console, results, rungs):
    """The table, what was left out, and every failure in its lines."""
    console.print(drawn(results))
    if any(result.ladder for result in results):
        console.print(climbed(results, rungs))
    for (name, reason), names in left_out(results).items():
        more = f" and {len(names) - SHOWN} more (--json names them)" if len(names) > SHOWN else ""
        say(console, f"{name}: left out {', '.join(list(names)[:SHOWN])}{more}: {reason}")
    failed = [result for result in results if not result.ok]
    for result in failed:
        say(console, f"{result.case}: {result.shown['diagnosis']['text']}")
        for line in [*(row for row in result if not row.ok), *map(rung_line, result.ladder)]:
            say(console, f"  {line}")
    say(console, f"{len(failed)} of {len(results)} cases differ" if failed else f"all equal in {of(results, 'case')}")


def left_out(results):
    """{(family or pair, reason): the names of what is left out for it in any of its cases, in their order}."""
    found = {}
    for result in results:
        for row in result:
            for name, reason in row.left_out.items():
                place = found.setdefault((str(result.case).partition(" ")[0], reason), {})
                place[name.partition(" (")[0]] = None  # how many of its elements differs between cases
    return found


def say(console, text):
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def of(things, name):
    return f"{len(things)} {name}{'s' if len(things) != 1 else ''}"


def mutated(console, names, twin, processes):
    """The kill score, and which level killed each."""
    from jaxgen.parity.mutations import score_by_name

    found = []
    with console.status("planting faults") as status:
        for each in score_by_name(names, twin, processes):
            found.append(each)
            status.update(f"{len(found)} mutations, the last: {each['mutation']} on {each['case']}")
    console.print(killed(found))
    survived = [each for each in found if not each["killed"]]
    for each in survived:
        say(console, f"survived: {each['mutation']} on {each['case']} ({each['about']})")
    say(console, f"kill score {len(found) - len(survived)}/{len(found)}")
    return found


def killed(found):
    table = Table(title="planted faults", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("mutation", "case", "layer", "killed first by", "error", "levels"):
        table.add_column(name, overflow="fold")
    for each in found:
        first = each["first"] or "[red]survived[/red]"
        worst = each["levels"].get(each["first"], 0.0)
        seen = str(len(each["levels"]))  # which ones: --json, --html
        table.add_row(each["mutation"], each["case"], each["layer"] or "", first, f"{float(worst):.0e}", seen)
    return table


def drawn(results):
    """A layer's error stands in units of its largest value, that of a weight in units of the learning rate. Names and
    signatures have no column: where they differ, it is told below."""
    table = framed("jaxgen and PyTorch in float64: the worst errors", "weights in units of the learning rate")
    table.add_column("case\ngate", overflow="fold")
    for name, (_, gate) in COLUMNS.items():
        table.add_column(f"{name}\n{gate}", justify="right", no_wrap=True, min_width=len(name))
    for result in results:
        table.add_row(str(result.case), *(cell(result, levels) for levels, _ in COLUMNS.values()))
    return table


def framed(title, caption=None):
    return Table(title=title, caption=caption, box=box.SIMPLE_HEAD, padding=0, collapse_padding=True, pad_edge=False)


def climbed(results, rungs):
    """Our error beside PyTorch's own, both against float64."""
    table = framed("our error in units of PyTorch's, both against float64", "gates: 4 to 10, by the size of the array")
    for name in ("case", *rungs, "where"):
        table.add_column(name, overflow="fold", justify="right" if name in rungs else "left")
    for result in results:
        worst = max(result.ladder, key=lambda rung: rung["ratio"] / rung["gate"], default={"where": ""})
        table.add_row(str(result.case), *(ratio(result, name) for name in rungs), worst["where"])
    return table


def cell(result, levels):
    rows = [row for row in result if row.level in levels]
    if not any(row.compared for row in rows) and all(row.ok for row in rows):
        return "-"  # a net without statistics, say, or a level that was not asked for
    worst = max(rows, key=lambda row: (not row.ok, row.error))
    return f"{worst.error:.0e}" if worst.ok else f"[red]{worst.error:.0e}[/red]"


def ratio(result, name):
    rung = next((rung for rung in result.ladder if rung["rung"] == name), None)
    return "-" if rung is None else f"{rung['ratio']:.1f}" if rung["ok"] else f"[red]{rung['ratio']:.1f}[/red]"
