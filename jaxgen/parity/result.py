"""What a verification found: it prints, asserts, and writes JSON and a page."""

import json
from pathlib import Path

import numpy as np

from jaxgen.errors import writing
from jaxgen.parity import environment
from jaxgen.parity.compare import FORWARD, LEVELS, UNITS

NOTHING: dict = {"weights": [], "layers": [], "leaks": [], "trajectory": None, "samples": None, "diagnosis": None}


class Result(list):
    """The rows of a case, by level; true only if there are some and every level holds. `shown` is what a report shows
    beside them: trajectory, samples, leaks, layers, diagnosis."""

    def __init__(self, case, rows=(), ladder=(), shown=None, seconds=0.0):
        super().__init__(rows)
        self.case, self.ladder, self.shown, self.seconds = case, list(ladder), shown or {}, seconds

    @property
    def ok(self):
        return bool(self) and all(row.ok for row in self) and all(rung["ok"] for rung in self.ladder)

    def __str__(self):
        rungs = [f"  {rung_line(rung)}" for rung in self.ladder]
        return "\n".join([str(self.case), *(f"  {row}" for row in self), *rungs])

    @property
    def verdict(self):
        """One line."""
        failed = [row for row in self if not row.ok]
        if failed:
            first = failed[0]
            return f"differs in {len(failed)} of {len(self)} levels, first in {first.level} at {first.where}"
        rungs = [f"; {rung_line(rung)}" for rung in self.ladder]
        worst = max((row.error for row in self if row.gate == FORWARD), default=0.0)
        return f"equal to {worst:.0e} (gate {FORWARD:.0e}) in {len(self)} levels{''.join(rungs)}"

    def assert_ok(self):
        assert self.ok, str(self)

    def to_json(self):
        """As plain values (the layout: docs/decisions.md)."""
        told = {"case": str(self.case), "ok": self.ok, "verdict": self.verdict, "seconds": round(self.seconds, 2)}
        levels = [level(row) for row in self]
        return plain(told | {"levels": levels, "ladder": self.ladder} | NOTHING | self.shown)

    def json(self, path):
        write_json(report([self]), path)

    def html(self, path):
        from jaxgen.parity.report import write

        write(report([self]), path)


def level(row):
    about, unit = LEVELS[row.level], UNITS.get(row.gate, "")
    told = {"level": row.level, "about": about, "gate": row.gate, "unit": unit, "ok": row.ok, "error": row.error}
    return told | {"where": row.where, "errors": row.errors, "left_out": row.left_out}


def rung_line(rung):
    told = f"{rung['ratio']:.1f} times its error (gate {rung['gate']}) at {rung['where']}"
    return f"{rung['rung']} {'as accurate as' if rung['ok'] else 'less accurate than'} PyTorch: {told}"


def report(results, mutations=(), command=""):
    """The file that `--json` writes."""
    from jaxgen import __version__

    ok = all(result.ok for result in results) and all(each["killed"] for each in mutations)
    about = {"jaxgen": __version__, "command": command, "ok": ok}
    about |= {"environment": environment.versions(), "precision": environment.precision()}
    return about | {"results": [result.to_json() for result in results], "mutations": plain(list(mutations))}


def write_json(told, path):
    with writing(path):
        Path(path).write_text(json.dumps(told, indent=1) + "\n")


def plain(value):
    """JSON knows no arrays and no infinity."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else str(float(value))
    return value.item() if isinstance(value, np.generic | np.bool_) else value
