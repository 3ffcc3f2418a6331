"""The layers as a tree with heat, and in words which of them is the first to differ."""

from itertools import groupby
from typing import NamedTuple

from jaxgen.parity.report.elements import code, element, mark, quiet
from jaxgen.parity.report.scales import heat, number, several
from jaxgen.parity.report.tables import Cell, heat_cell, legend, row, scrolling, table

GATE = 1e-9  # where no level tells the layers' own
COLUMNS = ("layer", "error", "local", "backward")
KINDS = COLUMNS[1:]


class Node(NamedTuple):
    below: dict[str, "Node"]
    calls: list[tuple[int, dict]]  # with their place in the order in which they ran


def gate(result):
    return next((level["gate"] for level in result["levels"] if level["level"] == "outputs"), GATE)


def beyond(layer, kind, gate):
    return layer.get(kind) is not None and float(layer[kind]) > gate


def told(result):
    """The summary of the part."""
    layers, edge = result["layers"], gate(result)
    count = sum(any(beyond(layer, kind, edge) for kind in KINDS) for layer in layers)
    verdict = mark(f"{count} beyond {number(edge)}", good=False) if count else f"all within {number(edge)}"
    return [several(len(layers), "call"), ", ", verdict]


def tree(result, name):
    """`name` makes the ids of rows unique on the page."""
    layers, edge = result["layers"], gate(result)
    first, back = first_of(layers, edge)
    marks = {back: "differs backward"} | {first: "first to differ"}
    rows = [
        [player_row(player), [tree_row(line, edge, marks, name) for line in lines(nested(list(of_player)))]]
        for player, of_player in groupby(enumerate(layers), key=lambda item: item[1].get("player"))
    ]
    caption = (
        "error: of what the layer returns, inherited errors included; local: when it is given PyTorch's input; "
        "backward: of its gradients, given PyTorch's"
    )
    drawn = table(caption, COLUMNS, rows, "grid tree")
    sentences = [sentence(layers, first, edge, name), backward_sentence(layers, back, edge, name)]
    return [sentences, strip(layers, edge), legend(edge), scrolling("layers", drawn, "long")]


def first_of(layers, edge):
    """The places of the first layer to differ on the way forward, and of the first on the way back; or None."""
    places = range(len(layers))
    forward = next((i for i in places if beyond(layers[i], "error", edge)), None)
    return forward, next((i for i in reversed(places) if beyond(layers[i], "backward", edge)), None)


def sentence(layers, place, edge, name):
    if place is None:
        return element("p", f"No layer's output differs by more than {number(edge)}.")
    layer = layers[place]
    if layer.get("local") is None:
        cause = ""
    elif beyond(layer, "local", edge):
        cause = f"With PyTorch's input it still differs, by {number(layer['local'])}: the fault is in this layer."
    else:
        cause = f"With PyTorch's input it differs by {number(layer['local'])} only: it was given something else."
    return element("p", mark("First to differ: ", good=False), named(layer, place, name), " by ", error(layer), cause)


def error(layer):
    return f"{number(layer['error'])}. "


def backward_sentence(layers, place, edge, name):
    if place is None:
        return None
    layer = layers[place]
    how = f" by {number(layer['backward'])}, given the same gradient."
    return element("p", mark("First to differ on the way back: ", good=False), named(layer, place, name), how)


def named(layer, place, name):
    link = element("a", code(layer["path"]), href=f"#{name}-{place}")
    return [link, f" ({layer['kind']}, call {layer['call']})"]


def strip(layers, edge):
    """All calls in the order in which they ran, from left to right: where the heat begins is seen at once."""
    height, cells = 10, []
    for i, layer in enumerate(layers):
        hint = f"{layer['path']}: " + ", ".join(f"{kind} {number(layer.get(kind))}" for kind in KINDS)
        shade = lambda kind, layer=layer: heat(layer.get(kind), edge)
        bars = [
            element("rect", x=i, y=height * k, width=1, height=height - 1, class_=shade(kind))
            for k, kind in enumerate(KINDS)
        ]
        cells.append(element("g", element("title", hint), bars))
    size = f"0 0 {len(layers)} {height * len(KINDS) - 1}"
    label = "the heat of all calls in the order in which they ran; the table below says the same"
    picture = element("svg", cells, viewBox=size, preserveAspectRatio="none", role="img", aria_label=label)
    names = element("div", [element("span", kind) for kind in KINDS], class_="quiet", aria_hidden="true")
    return element("div", names, picture, class_="strip")


def nested(calls):
    """-> Node. The paths' parts as branches, in the order in which they first ran."""
    root = Node({}, [])
    for place, layer in calls:
        node = root
        for part in layer["path"].split("."):
            node = node.below.setdefault(part, Node({}, []))
        node.calls.append((place, layer))
    return root


def lines(node, depth=0, before=""):
    """(depth, name, place, layer) from the root down; a branch that nothing hangs on but one other is joined to it."""
    for part, child in node.below.items():
        name = f"{before}{part}"
        if not child.calls and len(child.below) == 1:
            yield from lines(child, depth, f"{name}.")
            continue
        for place, layer in child.calls or [(None, None)]:
            yield depth, name, place, layer
        yield from lines(child, depth + 1)


def player_row(player):
    if not player:
        return None
    return element("tr", element("th", f"turn of {player}", colspan=len(COLUMNS), scope="rowgroup"), class_="group")


def tree_row(line, edge, marks, name):
    depth, part, place, layer = line
    indent = {"class_": "branch", "style": f"--depth:{depth}"}
    if layer is None:
        return row(COLUMNS, element("span", code(part), **indent), *[Cell("")] * len(KINDS))
    shape = "×".join(map(str, layer.get("shape") or []))
    call = f", call {layer['call']}" if layer["call"] > 1 else ""
    marked = mark(f" {marks[place]}", good=False) if place in marks else None
    label = element("span", code(part), " ", quiet(f"{layer['kind']} {shape}{call}"), marked, **indent)
    return row(COLUMNS, label, *[heat_cell(layer.get(kind), edge) for kind in KINDS], id=f"{name}-{place}")
