"""Curves of a row over the steps of training, on a logarithmic axis: in a terminal of braille dots, or as a picture."""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.text import Text

from jaxgen.errors import UserError, needs, writing

WIDE, HIGH = 40, 16  # characters of a chart in a terminal, at most; each of them is two dots wide and four high
MARGIN = 7  # characters for what stands beside the axis
COLOURS = "green", "red", "cyan", "yellow"  # in a terminal and in a picture
BRAILLE, BITS = 0x2800, np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def chart(curves, axes) -> Text:
    """What the axes are, the curves with their names and last values behind them, and the steps below."""
    first, last = (pick(steps[i] for steps, _ in curves.values()) for pick, i in ((min, 0), (max, -1)))
    low, high = decades(curves)
    scale = Scale(high, max(1, (HIGH - 1) // (high - low)))
    ticks = {scale.row(n) // 4: f"{10.0**n:g}" for n in range(low, high + 1)}
    lines = scale.row(low) // 4 + 1
    cells = [characters(dotted(curve, (first, last), lines, scale)) for curve in curves.values()]
    names, text = behind(curves, scale), Text(f"{axes[1]}, logarithmic\n", no_wrap=True)
    for line in range(max(lines, max(names) + 1)):
        text.append(f"{ticks.get(line, ''):>{MARGIN}s} {'┤' if line in ticks else '│'}")
        for place in range(WIDE if line < lines else 0):
            text.append(*cell([each[line, place] for each in cells]))
        text.append(*names.get(line, ("",))).append("\n")
    text.append(f"{'└':>{MARGIN + 2}s}{'─' * WIDE}\n{'':{MARGIN + 2}s}{first:<{WIDE // 4}d}")
    return text.append(f"{axes[0]:^{WIDE // 2}s}{last:>{WIDE // 4}d}")


class Scale(NamedTuple):
    """The exponent at the top, and the lines of a decade."""

    high: int
    lines: int

    def row(self, exponent):
        """Of dots, counted from above: a power of ten is in the middle of its line."""
        return np.rint((self.high - np.asarray(exponent)) * 4 * self.lines + 1.5).astype(int)


def decades(curves):
    """The powers of ten between which all values lie, at least one apart."""
    exponents = np.concatenate([logarithm(values) for _, values in curves.values()])
    low = int(np.floor(exponents.min()))
    return low, max(low + 1, int(np.ceil(exponents.max())))


def logarithm(values):
    """What is not above zero, as round-off may have it, or not finite is drawn with the least that is."""
    values = np.asarray(values, float)
    fit = (values > 0) & np.isfinite(values)
    return np.log10(np.where(fit, values, values[fit].min() if fit.any() else 1.0))


def dotted(curve, ends, lines, scale):
    """(4 lines, 2 WIDE): where the curve has dots; each column is joined to the one before it."""
    (steps, values), at = curve, np.linspace(*ends, 2 * WIDE)
    rows = scale.row(np.interp(at, steps, logarithm(values)))
    before = np.concatenate([rows[:1], rows[:-1]])
    y = np.arange(4 * lines)[:, None]
    joined = (y > np.minimum(before, rows)) & (y < np.maximum(before, rows)) | (y == rows)
    return joined & (at >= steps[0]) & (at <= steps[-1])


def characters(dots):
    """(lines, WIDE): the codes of the characters that show them."""
    return BRAILLE + (dots.reshape(-1, 4, WIDE, 2) * BITS[:, None]).sum((1, 3))


def cell(codes):
    """The character of a place, in the colour of the last curve that is there."""
    here = [i for i, code in enumerate(codes) if code > BRAILLE]
    code = int(np.bitwise_or.reduce(codes))
    return (chr(code), COLOURS[here[-1] % len(COLOURS)]) if here else (" ", "")


def behind(curves, scale):
    """{line: (name and last value, colour)}: beside the end of each curve, or in the next line that is free."""
    placed = {}
    for (name, (_, values)), colour in zip(curves.items(), itertools.cycle(COLOURS), strict=False):
        line = int(scale.row(logarithm(values)[-1])) // 4
        while line in placed:
            line += 1
        placed[line] = f" {name} {values[-1]:.2g}", colour
    return placed


def check(path, rows):
    """Refuses what cannot be drawn before anything is computed."""
    if Path(path).suffix != ".png":
        raise UserError(f"plot: expected FILE.png, got {path!r}.")
    if not any(row.curves for row in rows):
        raise UserError("plot: none of these rows has curves. B1.9 has.")
    needs("matplotlib.figure", "plots")


def plot(path, told):
    """A panel for each (title, curves, axes)."""
    sheet = needs("matplotlib.figure", "plots").Figure(figsize=(7.2, 4.2 * len(told)), layout="constrained")
    panels = np.atleast_1d(sheet.subplots(len(told)))
    for panel, (title, curves, (x, y)) in zip(panels, told, strict=True):
        for colour, (name, (steps, values)) in zip(COLOURS, curves.items(), strict=False):
            panel.plot(steps, 10 ** logarithm(values), color=f"tab:{colour}", linewidth=1.4, label=name)
        panel.set(title=title, xlabel=x, ylabel=y, yscale="log")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False)
    with writing(path):
        sheet.savefig(path, dpi=130)
