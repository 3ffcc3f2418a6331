"""All that was found in one case; a part without data is left out."""

from jaxgen.parity.report import images, ladder, layers, trajectory
from jaxgen.parity.report.elements import code, element, mark, part
from jaxgen.parity.report.levels import levels
from jaxgen.parity.report.scales import number, several
from jaxgen.parity.report.tables import row, table

LONG = 12  # rows of weights that are shown unfolded


def section(name, result, opened):
    """`name` is its id on the page; parts of a case that holds are folded where there are others to see."""
    told = mark("equal" if result["ok"] else "differs", good=result["ok"])
    head = [element("h2", result["case"], " ", told), element("p", result["verdict"]), diagnosis(result)]
    return element("section", head, list(parts(name, result, opened)), id=name, class_="case")


def parts(name, result, opened):
    if result.get("levels"):
        yield part("Levels", levels_told(result), levels(result), opened=opened)
    if result.get("layers"):
        yield part("Layers", layers.told(result), layers.tree(result, name), opened=opened)
    if result.get("ladder"):
        yield part("Precision", ladder.told(result), ladder.ladder(result), opened=opened)
    if result.get("trajectory"):
        yield part("Trajectory", trajectory.told(result), trajectory.trajectory(result), opened=opened)
    if result.get("samples"):
        yield part("Samples", images.told(result), images.strip(result), opened=opened)
    if rows := result.get("weights"):
        yield part("Weights", weights_told(rows), weights(rows), opened=opened and len(rows) <= LONG)
    if result.get("leaks") is not None:
        yield part("Float leaks", leaks_told(result["leaks"]), leaks(result["leaks"]), opened=bool(result["leaks"]))


def levels_told(result):
    failed = [level["level"] for level in result["levels"] if not level["ok"]]
    if failed:
        return mark(f"beyond the gate: {', '.join(failed)}", good=False)
    return f"{several(len(result['levels']), 'level')}, all within their gates"


def diagnosis(result):
    """Which line is wrong, why, and what to write instead."""
    found = result.get("diagnosis")
    if not found:
        return None
    sizes = f"{number(found['local'])} of its own, {number(found['inherited'])} inherited"
    layer = [code(found["layer"]), f" ({found['kind']}), {found['phase']}: {sizes}"]
    cause = found["cause"] or "none of the known faults explains it"
    facts = {
        "layer": layer,
        "cause": cause,
        "cure": found["cure"],
        "tried": found["tried"] and f"{found['tried']} known faults",
    }
    facts = {name: x for name, x in facts.items() if x}
    listed = element("dl", [element("div", element("dt", name), element("dd", x)) for name, x in facts.items()])
    return element("aside", element("h3", "Diagnosis"), listed, class_="diagnosis")


def weights_told(rows):
    plain = sum(one["rule"] == "as it is" for one in rows)
    return f"{several(len(rows), 'array')}, {plain} as they are"


def weights(rows):
    columns = ("PyTorch", "JAX", "shape", "kind", "rule", "reason")
    shape = lambda one: "×".join(map(str, one["shape"])) or "scalar"
    cells = lambda one: (code(one["torch"]), code(one["jax"]), shape(one), one["dtype"], one["rule"], one["reason"])
    return table("which array of PyTorch's becomes which of ours", columns, [row(columns, *cells(one)) for one in rows])


def leaks_told(found):
    told = several(len(found), "operation") + " narrower than float64 in the check"
    return mark(told, good=False) if found else "none: every operation of the check is in float64"


def leaks(found):
    columns = ("operation", "kind", "source")
    rows = [row(columns, one["op"], one["dtype"], code(one["source"])) for one in found]
    return table("operations of the check that are not in float64", columns, rows) if found else None
