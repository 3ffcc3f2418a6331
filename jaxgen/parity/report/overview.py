"""What is known at a glance: the verdict, its figures, the cases, and the levels of all of them."""

from jaxgen.parity.report import mutations
from jaxgen.parity.report.elements import code, element, mark, quiet
from jaxgen.parity.report.scales import excess, number, several
from jaxgen.parity.report.tables import Cell, dense, row, scrolling, table, upright


def verdict(data):
    """One line."""
    cases, failed = len(data["results"]), sum(not result["ok"] for result in data["results"])
    faults = data.get("mutations") or []
    survivors = len(faults) - mutations.killed(faults)
    if cases == 1:
        told = f"{data['results'][0]['case']}: {'differs' if failed else 'equal'}"
    elif failed:
        told = f"{failed} of {several(cases, 'case')} {'differs' if failed == 1 else 'differ'}"
    else:
        told = f"all equal in {cases} cases" if cases else "nothing was compared"
    if survivors:
        told += f", {survivors} of {several(len(faults), 'planted fault')} survived"
    return told


def header(data):
    name = element("p", quiet(f"jaxgen {data['jaxgen']} ", code(data["command"])))
    head = element("h1", verdict(data), class_="good" if data["ok"] else "bad")
    found = [figure for figure in (worst(data), ratio(data), kill_score(data), arrays(data)) if figure]
    figures = element("dl", [element("div", element("dt", a), element("dd", b)) for a, b in found], class_="figures")
    return element("header", name, head, figures)


def worst_level(results):
    """(result, level) of the error that is largest in units of its gate."""
    pairs = [(result, level) for result in results for level in result["levels"]]
    return max(pairs, key=lambda pair: excess(pair[1]["error"], pair[1]["gate"]), default=None)


def worst(data):
    if not (pair := worst_level(data["results"])):
        return None
    result, level = pair
    where = quiet(f"gate {number(level['gate'])}, {level['level']} of {result['case']}")
    return "worst error", [element("b", number(level["error"])), " ", where]


def worst_rung(results):
    rungs = [rung for result in results for rung in result.get("ladder") or []]
    return max(rungs, key=lambda rung: (not rung["ok"], float(rung["ratio"])), default=None)


def ratio(data):
    rung = worst_rung(data["results"])
    if not rung:
        return None
    gates = sorted({one["gate"] for one in rung["rows"]})
    gate = f"gate {' or '.join(map(number, gates))}, " if gates else ""
    return "precision: our error over PyTorch's", [element("b", number(rung["ratio"])), " ", quiet(gate, rung["rung"])]


def kill_score(data):
    faults = data.get("mutations")
    if not faults:
        return None
    link = element("a", f"{mutations.killed(faults)} of {len(faults)}", href="#mutations")
    return "kill score", [element("b", link), " ", quiet("planted faults seen")]


def arrays(data):
    levels = [level for result in data["results"] for level in result["levels"]]
    compared = sum(len(level.get("errors") or {}) for level in levels)
    out = sum(len(level.get("left_out") or {}) for level in levels)
    return "compared", [element("b", f"{compared:,}"), " ", quiet(f"arrays, {out} left out with their reason")]


def cases(named, data):
    """`named`: (id, result) in the order of the page."""
    columns = ("case", "worst error", "level", "precision", "killed", "seconds")
    faults = data.get("mutations") or []
    columns = columns if faults else tuple(name for name in columns if name != "killed")
    rows = [case_row(name, result, columns, faults) for name, result in named]
    return element("section", element("h2", "Cases"), table("those that differ come first", columns, rows), id="cases")


def case_row(name, result, columns, faults):
    told = mark("equal" if result["ok"] else "differs", good=result["ok"])
    title = [told, " ", element("a", result["case"], href=f"#{name}"), element("br"), quiet(result["verdict"])]
    _, level = worst_level([result]) or (None, {"error": None, "gate": None, "level": "–"})
    rung, own = worst_rung([result]), [one for one in faults if one["case"] == result["case"]]
    error = Cell([number(level["error"]), quiet(f" of {number(level['gate'])}")], "number")
    precision = Cell(number(rung["ratio"]) if rung else "–", "number")
    killed = [Cell(f"{mutations.killed(own)} of {len(own)}" if own else "–", "number")] if faults else []
    seconds = Cell(f"{result['seconds']:.1f}", "number")
    kind = None if result["ok"] else "failed"
    return row(columns, title, error, level["level"], precision, *killed, seconds, class_=kind)


def matrix(named):
    """Cases by levels, shaded."""
    levels = list(dict.fromkeys(level["level"] for _, result in named for level in result["levels"]))
    rows = [matrix_row(name, result, levels) for name, result in named]
    caption = "the worst error of each level: blue within its gate, the darker the nearer to it; orange to red beyond"
    drawn = table(caption, ("case", *upright(levels)), rows, "grid matrix")
    return element("section", element("h2", "Levels"), scrolling("levels of all cases", drawn))


def matrix_row(name, result, levels):
    upwards = sorted(result["levels"], key=lambda level: excess(level["error"], level["gate"]))
    found = {level["level"]: level for level in upwards}
    cell = lambda level: dense(level["error"], level["gate"], *flag(level))
    cells = [cell(found[level]) if level in found else Cell("") for level in levels]
    return row(("case", *levels), element("a", result["case"], href=f"#{name}"), *cells)


def flag(level):
    return () if level["ok"] else (element("b", "✗ "),)
