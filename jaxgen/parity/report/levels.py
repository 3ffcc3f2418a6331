"""What was compared: the levels with their worst errors, what was left out and why, and every array."""

from jaxgen.parity.report.elements import code, element, mark, more, quiet
from jaxgen.parity.report.scales import number, several
from jaxgen.parity.report.tables import Cell, bar, number_cell, row, table

COLUMNS = ("level", "worst error", "where", "gate", "arrays")
SHOWN = 40  # of a level's arrays; the JSON holds all


def levels(result):
    rows = [level_row(level) for level in result["levels"]]
    infinite = any(float(level["error"]) == float("inf") for level in result["levels"])
    told = quiet("inf: names, shapes, kinds, NaNs or infinities are not the same.") if infinite else None
    caption = "the bar goes from 1e-17 to the level's gate, logarithmic"
    return [table(caption, COLUMNS, rows), told, left_out(result), arrays(result)]


def level_row(level):
    name = [element("b", level["level"]), " ", quiet(level.get("about"))]
    error = [element("span", number(level["error"]), class_="number"), bar(level["error"], level["gate"])]
    verdict = None if level["ok"] else [" ", mark("beyond the gate", good=False)]
    gate = [number(level["gate"]), " ", quiet(level.get("unit"))]
    where = Cell(code(level["where"]) if level.get("where") else "–")
    arrays = number_cell(len(level.get("errors") or {}))
    return row(COLUMNS, name, Cell([error, verdict]), where, gate, arrays, class_=None if level["ok"] else "failed")


def left_out(result):
    rows = [
        row(("array", "level", "reason"), code(array), level["level"], reason)
        for level in result["levels"]
        for array, reason in (level.get("left_out") or {}).items()
    ]
    return table("left out of the comparison", ("array", "level", "reason"), rows) if rows else None


def arrays(result):
    """Of each level the worst arrays, folded."""
    found = [level for level in result["levels"] if level.get("errors")]
    if not found:
        return None
    total = sum(len(level["errors"]) for level in found)
    return more(f"the error of each array ({total}), the worst first", [of_level(level) for level in found])


def of_level(level):
    errors = sorted(level["errors"].items(), key=lambda item: -float(item[1]))
    columns = ("array", "error")
    rows = [row(columns, code(name), Cell(beside_gate(x, level["gate"]), "number")) for name, x in errors[:SHOWN]]
    rest = errors[SHOWN:]
    told = quiet(f"{several(len(rest), 'more array')}, at most {number(rest[0][1])}") if rest else None
    return [table(f"{level['level']}: {several(len(errors), 'array')}", columns, rows, "grid facts"), told]


def beside_gate(error, gate):
    return [number(error), " ", mark("beyond the gate", good=False)] if float(error) > gate else number(error)
