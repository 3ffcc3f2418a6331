"""A long run of both sides: the losses on one panel, their relative error with the gate on another."""

from jaxgen.parity.report.elements import element, mark
from jaxgen.parity.report.plots import Panel, key, linear, logarithmic, steps
from jaxgen.parity.report.scales import SMALLEST, number, several

COLOURS = 6


def told(result):
    run = result["trajectory"]
    worst = max(map(float, run["error"]), default=0.0)
    words = f"worst error {number(worst)} of {number(run['gate'])}"
    verdict = words if worst <= run["gate"] else mark(words, good=False)
    stopped = f"; stopped: {run['stopped']}" if run["stopped"] else None
    return [f"{several(len(run['step']), 'step')}, ", verdict, stopped]


def trajectory(result):
    run = result["trajectory"]
    return element("div", losses(run), errors(run), class_="beside even")


def losses(run):
    values = [x for sides in run["losses"].values() for side in sides.values() for x in side]
    panel = Panel(steps(run["step"]), linear(values))
    curves, entries = [], []
    for i, (name, sides) in enumerate(run["losses"].items()):
        colour = f"c{i % COLOURS}"
        curves += [panel.curve(run["step"], sides[side], f"{side} {colour}") for side in ("torch", "jax")]
        entries += [(f"torch {colour}", f"{name}, PyTorch"), (f"jax {colour}", f"{name}, JAX")]
    return element(
        "figure", panel.drawn("the losses of both sides, step by step", "step", "loss", curves), key(entries)
    )


def errors(run):
    across, gate = steps(run["step"]), run["gate"]
    panel = Panel(across, logarithmic([SMALLEST, 10 * gate, *run["error"]]))
    limit = panel.rule((across.low, gate), (across.high, gate), "limit")
    curve = panel.curve(run["step"], run["error"], "jax c0")
    drawn = panel.drawn("the relative error of the losses, step by step", "step", "relative error", curve, limit)
    entries = [("jax c0", "relative error (0 is at the lower edge)"), ("limit", f"gate {number(gate)}")]
    return element("figure", drawn, key(entries))
