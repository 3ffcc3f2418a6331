"""Tables with captions and headers; on a narrow screen a row becomes a card or the table scrolls in its box."""

from typing import NamedTuple

from jaxgen.parity.report.elements import element, quiet
from jaxgen.parity.report.scales import SMALLEST, bounds, heat, number, position, short


class Cell(NamedTuple):
    content: object
    kind: str | None = None  # its class


def table(caption, columns, rows, kind="cards", foot=None):
    """`rows` come from `row`. Of kind `cards`, a row is a card where the screen is narrow; a `grid` keeps its form."""
    head = element("thead", element("tr", [element("th", name, scope="col") for name in columns]))
    ending = element("tfoot", foot) if foot else None
    return element("table", element("caption", caption), head, element("tbody", rows), ending, class_=kind)


def row(columns, head, *cells, **attributes):
    """The first cell is the row's header; the others repeat their column's name, which a card shows."""
    cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in cells]
    data = [
        element("td", cell.content, class_=cell.kind, data_label=name)
        for name, cell in zip(columns[1:], cells, strict=True)
    ]
    return element("tr", element("th", head, scope="row"), data, **attributes)


def scrolling(label, content, kind="wide"):
    """A box of its own for what is wider than the screen or longer than a reader wants; the keyboard reaches it."""
    return element("div", content, class_=f"scroll {kind}", tabindex="0", role="region", aria_label=label)


def number_cell(x, kind=""):
    return Cell(number(x), f"number {kind}".strip())


def heat_cell(error, gate):
    return Cell(number(error), f"number {heat(error, gate) or ''}".strip())


def dense(error, gate, *before):
    """A narrow cell of a matrix."""
    return Cell([*before, short(error)], f"number dense {heat(error, gate)}")


def upright(names):
    """Column headers that stand, so that many columns fit."""
    return [element("span", name, class_="upright") for name in names]


def bar(error, gate):
    """From 1e-17 to the gate; the number beside it says the same."""
    share = position(error, SMALLEST, gate) if gate else float(float(error) > 0)
    beyond = float(error) > gate
    filled = element("span", style=f"width:{100 * share:.0f}%")
    return element("span", filled, class_="bar beyond" if beyond else "bar", aria_hidden="true")


def legend(gate):
    """What the shades mean."""
    upper = [f"to {short(x)}" for x in bounds(gate)[:-1]] + ["more"]
    shades = [element("li", text, class_=f"h{i + 1}") for i, text in enumerate(upper)]
    shades.insert(0, element("li", "0", class_="h0"))
    shades.insert(len(shades) // 2 + 1, element("li", f"gate {number(gate)}", class_="gate"))
    return element("ul", element("li", quiet("error"), class_="gate"), shades, class_="legend")
