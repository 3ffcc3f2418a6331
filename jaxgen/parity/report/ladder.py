"""The precision ladder: on each rung, how much less exact than PyTorch the port is, both measured against float64."""

import math

from jaxgen.parity.report.elements import code, element, mark, more
from jaxgen.parity.report.plots import Panel, key, logarithmic
from jaxgen.parity.report.scales import excess, number, several
from jaxgen.parity.report.tables import Cell, number_cell, row, table

COLUMNS = ("array", "elements", "PyTorch's error", "ours", "ratio", "gate", "ulps")
WORST, SHOWN = 8, 200
FORGIVEN = 4  # units of round-off, by the gate
UNITS = f"errors in units of the array's largest value; ulps: ours in round-offs, of which {FORGIVEN} are forgiven"
SPAN = 1e-8  # of the largest error; an array of all but zeros would leave the others in a corner


def told(result):
    rungs = [f"{rung['rung']} on {rung['device']}: ratio {number(rung['ratio'])}" for rung in result["ladder"]]
    failed = [rung for rung in result["ladder"] if not rung["ok"]]
    return ["; ".join(rungs), [" ", mark("less accurate than PyTorch", good=False)] if failed else None]


def ladder(result):
    return [rung_part(rung) for rung in result["ladder"]]


def rung_part(rung):
    rows = sorted(rung["rows"], key=lambda one: (one["ok"], lost(one), -excess(one["ratio"], one["gate"])))
    words = "as accurate as PyTorch" if rung["ok"] else "less accurate than PyTorch"
    head = element("h4", f"{rung['rung']} on {rung['device']}: ", mark(words, good=rung["ok"]))
    where = element("p", f"Our rms error over PyTorch's is at most {number(rung['ratio'])}, at ", code(rung["where"]))
    worst = array_table(f"the worst arrays; {UNITS}", rows[:WORST])
    rest = more(f"all arrays ({len(rows)})", array_table("all arrays", rows[:SHOWN]), cut(rows[SHOWN:]))
    beside = element("div", worst, scatter(rung, [one for one in rows if not lost(one)]), class_="beside")
    return [head, where, without_ratio(rows), beside, rest if len(rows) > WORST else None]


def lost(one):
    """Finite on neither side."""
    return math.isnan(float(one["ratio"]))


def without_ratio(rows):
    count = sum(map(lost, rows))
    words = f"Not finite in this precision, with PyTorch as with us, and so without a ratio: {several(count, 'array')}."
    return element("p", words) if count else None


def cut(rest):
    return element("p", f"and {several(len(rest), 'array')} further from the gate") if rest else None


def array_table(caption, rows):
    return table(caption, COLUMNS, [array_row(one) for one in rows])


def array_row(one):
    values = [number_cell(one[name]) for name in ("theirs", "ours", "ratio", "gate", "ulps")]
    name = [f"{one['level']}: ", code(one["array"])]
    verdict = None if one["ok"] else [" ", mark("beyond the gate", good=False)]
    kind = None if one["ok"] else "failed"
    return row(COLUMNS, [name, verdict], Cell(f"{one['size']:,}", "number"), *values, class_=kind)


def scatter(rung, rows):
    """Ours against theirs, a dot an array; above its gate's line a port is less accurate than it may be."""
    axis, gates = axis_of(rows), sorted({one["gate"] for one in rows})
    panel, low, high = Panel(axis, axis), 10.0**axis.low, 10.0**axis.high
    lines = [panel.rule((low, low), (high, high), "same"), *(limit(panel, gate, unit_of(rows)) for gate in gates)]
    dots = [panel.dot(one["theirs"], one["ours"], hint(one), "dot" if one["ok"] else "dot bad") for one in rows]
    label = f"{rung['rung']}: our error against PyTorch's for {several(len(rows), 'array')}, logarithmic"
    drawn = panel.drawn(label, "PyTorch's rms error (smaller ones at the edge)", "our rms error", lines, dots)
    limits = f"gate: {' or '.join(map(number, gates))} times PyTorch's and {FORGIVEN} units of round-off"
    return element("figure", drawn, key([("same", "equally accurate"), ("limit", limits)]))


def axis_of(rows):
    """The same for both sides."""
    errors = [x for one in rows for x in (float(one["theirs"]), float(one["ours"])) if x < math.inf]
    largest = max([*errors, FORGIVEN * unit_of(rows)]) or 1.0
    return logarithmic([largest, *(x for x in errors if x > SPAN * largest)])


def unit_of(rows):
    """Round-off, from what an error is in units of it."""
    sizes = ((float(one["ours"]), float(one["ulps"])) for one in rows)
    return next((ours / ulps for ours, ulps in sizes if 0 < ulps < math.inf), 0.0)


def limit(panel, gate, unit):
    low, high = 10.0**panel.x.low, 10.0**panel.x.high
    across = [low * (high / low) ** (i / 100) for i in range(101)]
    points = [(x, gate * x + FORGIVEN * unit) for x in across if gate * x + FORGIVEN * unit <= high]
    return panel.curve(*zip(*points, strict=True), "limit") if points else None


def hint(one):
    return f"{one['array']}: PyTorch {number(one['theirs'])}, ours {number(one['ours'])}"
