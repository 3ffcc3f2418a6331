"""Plots as SVG: axes with ticks, curves, points. Their colours are the page's, in both schemes."""

import math
from typing import NamedTuple

from jaxgen.parity.report.elements import Html, element

WIDTH, HEIGHT = 440, 280
LEFT, RIGHT, TOP, BOTTOM = 66, 14, 12, 46


class Axis(NamedTuple):
    """From `low` to `high`; of a logarithmic axis both are powers of ten."""

    low: float
    high: float
    log: bool = False

    def share(self, value):
        value = math.log10(max(float(value), 10.0**self.low)) if self.log else float(value)
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def ticks(self):
        step = math.ceil((self.high - self.low) / 6) if self.log else round_step((self.high - self.low) / 8)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        places = [i * step for i in range(first, last + 1)]
        return [(10.0**x, f"1e{x}") if self.log else (x, f"{round(x, 12):g}") for x in places]


def round_step(least):
    """1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= least * (1 - 1e-9))


def linear(values):
    """An axis that holds all finite values, with a little room."""
    finite = [float(x) for x in values if math.isfinite(float(x))] or [0.0]
    low, high = min(finite), max(finite)
    room = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
    return Axis(low - room, high + room)


def steps(values):
    return Axis(min(values), max(max(values), min(values) + 1))


def logarithmic(values):
    """Whole decades around all values that have a logarithm."""
    finite = [float(x) for x in values if 0 < float(x) < math.inf] or [1.0]
    low, high = math.floor(math.log10(min(finite))), math.ceil(math.log10(max(finite)))
    return Axis(low, max(high, low + 1), log=True)


class Panel(NamedTuple):
    x: Axis
    y: Axis

    def point(self, a, b):
        across, up = self.x.share(a), self.y.share(b)
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def curve(self, xs, ys, kind):
        """A line through the points, broken where a value is not finite."""
        words, pen = [], "M"
        for a, b in zip(xs, ys, strict=True):
            if not math.isfinite(float(b)):
                pen = "M"
                continue
            words.append("{}{:.1f} {:.1f}".format(pen, *self.point(a, b)))
            pen = "L"
        return element("path", d="".join(words), class_=kind)

    def rule(self, begin, end, kind):
        (x1, y1), (x2, y2) = ((f"{c:.1f}" for c in self.point(*place)) for place in (begin, end))
        return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)

    def dot(self, a, b, told, kind):
        x, y = self.point(a, b)
        return element("circle", element("title", told), cx=f"{x:.1f}", cy=f"{y:.1f}", r="3.5", class_=kind)

    def drawn(self, told, across, up, *marks) -> Html:
        """The whole picture; `told` is what it shows, in words, for those who do not see it."""
        labels = [
            element("text", across, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 8, text_anchor="middle"),
            element("text", up, x=-(TOP + HEIGHT - BOTTOM) / 2, y=13, text_anchor="middle", transform="rotate(-90)"),
        ]
        box = {"x": LEFT, "y": TOP, "width": WIDTH - LEFT - RIGHT, "height": HEIGHT - TOP - BOTTOM}
        frame = element("rect", class_="frame", **box)
        content = [self.grid(), frame, marks, labels]
        return element("svg", content, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=told, class_="plot")

    def grid(self):
        left, bottom = LEFT, HEIGHT - BOTTOM
        for value, text in self.x.ticks():
            x = f"{self.point(value, 0)[0]:.1f}"
            line = element("line", x1=x, x2=x, y1=TOP, y2=bottom, class_="tick")
            yield line, element("text", text, x=x, y=bottom + 15, text_anchor="middle")
        for value, text in self.y.ticks():
            y = self.point(0, value)[1]
            line = element("line", x1=left, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="tick")
            yield line, element("text", text, x=left - 6, y=f"{y + 4:.1f}", text_anchor="end")


def key(entries):
    """(class of the line, what it is) as a list with a piece of each line."""
    piece = lambda kind: element("line", x1=1, y1=6, x2=27, y2=6, class_=kind)
    sample = lambda kind: element("svg", piece(kind), viewBox="0 0 28 12", class_="piece", aria_hidden="true")
    return element("ul", [element("li", sample(kind), text) for kind, text in entries], class_="key")
