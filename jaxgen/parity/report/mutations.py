"""The mutation matrix: each planted fault, the levels that saw it, and what the diagnosis said."""

from jaxgen.parity.report.elements import code, element, mark, quiet
from jaxgen.parity.report.scales import several
from jaxgen.parity.report.tables import Cell, dense, row, scrolling, table, upright

UNKNOWN_GATE = 1e-9  # of a level that no case has


def section(data):
    mutations, gates = data["mutations"], level_gates(data)
    sentences = [score(mutations), diagnosis_score(mutations)]
    parts = [element("h2", "Mutations"), sentences, scrolling("mutation matrix", matrix(mutations, gates))]
    return element("section", parts, id="mutations")


def level_gates(data):
    """{level: its gate}, in the order of the proof."""
    gates = {level["level"]: level["gate"] for result in data["results"] for level in result["levels"]}
    return gates | {name: UNKNOWN_GATE for one in data["mutations"] for name in one["levels"] if name not in gates}


def killed(mutations):
    return sum(one["killed"] for one in mutations)


def score(mutations):
    survivors = [one["mutation"] for one in mutations if not one["killed"]]
    told = f"{killed(mutations)} of {several(len(mutations), 'planted fault')} killed"
    names = [" Not seen at any level: ", ", ".join(survivors), "."] if survivors else " None survived."
    return element("p", mark(told, ".", good=not survivors), names)


def diagnoses(mutations):
    return [one["diagnosis"] for one in mutations if one.get("diagnosis")]


def diagnosis_score(mutations):
    found = diagnoses(mutations)
    right = {what: [one[f"{what}_right"] for one in found] for what in ("layer", "cause")}
    judged = {what: [x for x in answers if x is not None] for what, answers in right.items()}
    told = [f"{what} in {sum(answers)} of {len(answers)}" for what, answers in judged.items() if answers]
    return element("p", f"The diagnosis names the right {', the right '.join(told)}.") if told else None


def matrix(mutations, gates):
    """Survivors first; a level is filled where it saw the fault, with its error."""
    mutations = sorted(mutations, key=lambda one: one["killed"])
    judged = ("layer named", "cause named") if diagnoses(mutations) else ()
    columns = ("mutation", "planted in", *gates, *judged)
    rows = [mutation_row(one, columns, gates, bool(judged)) for one in mutations]
    heads = (*columns[:2], *upright(gates), *judged)
    caption, foot = "filled: the levels that saw it, with their error", count(mutations, gates, columns)
    return table(caption, heads, rows, "cards matrix", foot)


def mutation_row(one, columns, gates, judged):
    survived = None if one["killed"] else [mark("SURVIVED", good=False), " "]
    name = [survived, element("b", one["mutation"]), " ", quiet(one["about"])]
    place = [one["case"], " ", code(one["layer"]) if one.get("layer") else None]
    cells = [level_cell(one, level, gate) for level, gate in gates.items()]
    answers = [*answer_cells(one.get("diagnosis"))] if judged else []
    kind = None if one["killed"] else "failed"
    return row(columns, name, Cell(place, "place"), *cells, *answers, class_=kind)


def level_cell(one, level, gate):
    if level not in one["levels"]:
        return Cell("")
    first = [element("b", "1st", class_="first"), " "] if level == one["first"] else None
    return dense(one["levels"][level], gate, first)


def answer_cells(diagnosis):
    if not diagnosis:
        return Cell(""), Cell("")
    layer, cause = (answer(diagnosis[key]) for key in ("layer_right", "cause_right"))
    return Cell(layer), Cell([cause, " ", quiet(diagnosis.get("cause"))], "cause")


def answer(right):
    return "–" if right is None else mark("right" if right else "wrong", good=right)


def count(mutations, gates, columns):
    """How many each level saw, and how many it was the first to see."""
    seen = [sum(level in one["levels"] for one in mutations) for level in gates]
    first = [sum(level == one["first"] for one in mutations) for level in gates]
    cells = lambda values: [Cell(x, "number dense") for x in values]
    blank = [Cell("")] * (len(columns) - 2 - len(gates))
    line = lambda name, values: row(columns, name, Cell(""), *cells(values), *blank)
    return [line("seen at", seen), line("first seen at", first)]
