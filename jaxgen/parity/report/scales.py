"""Numbers as texts, as places on a logarithmic scale and as shades of heat. Errors may be the text "inf"."""

import math

SMALLEST, LARGEST = 1e-17, 1.0  # the ends of every scale of errors: below float64's round-off, and all of an array
SHADES = 4  # on either side of the gate


def number(x) -> str:
    if x is None:
        return "–"
    x = float(x)
    if not math.isfinite(x):
        return str(x)
    if x == 0 or 1e-3 <= abs(x) < 1e5:
        return f"{x:.0f}" if x == round(x) or abs(x) >= 10 else f"{x:.2g}"
    digits, power = f"{x:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def short(x) -> str:
    """One digit, for narrow cells."""
    digits, _, power = f"{float(x):.0e}".partition("e")
    return f"{digits}e{int(power)}" if power and float(x) else number(x)


def several(count, noun):
    return f"{count} {noun}" + ("" if count == 1 else "s")


def position(x, low, high) -> float:
    """0 at `low`, 1 at `high`, logarithmic, what lies outside at the ends."""
    x = float(x)
    if x <= low or x >= high:
        return float(x > low)
    return math.log(x / low) / math.log(high / low)


def excess(error, gate) -> float:
    """How many times the gate an error is; a gate of 0 forgives nothing."""
    return float(error) / gate if gate else math.inf if float(error) else 0.0


def heat(error, gate) -> str | None:
    """The class of a cell: h0 for no error, four shades within the gate, four beyond it; none if nothing is known."""
    if error is None:
        return None
    if float(error) == 0:
        return "h0"
    within, edge = float(error) <= gate, max(gate, SMALLEST)
    share = position(error, SMALLEST, edge) if within else position(error, edge, LARGEST)
    return f"h{min(max(math.ceil(SHADES * share), 1), SHADES) + (0 if within else SHADES)}"


def bounds(gate):
    """The largest error of each shade."""
    steps = [(i + 1) / SHADES for i in range(SHADES)]
    between = lambda low, high: [low * (high / low) ** step for step in steps]
    return between(SMALLEST, gate) + between(gate, LARGEST)[:-1] + [math.inf]
