"""What came out of a sweep: a table of the combinations of values, with mean and interval over the seeds, report.md and
curves.png. All of it is read from the folder."""

import json
import sys
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from jaxgen import find, pictures
from jaxgen.errors import MissingExtra, writing
from jaxgen.progress import duration
from jaxgen.run import replace
from jaxgen.statistics import half_width
from jaxgen.sweeping import curves, listed
from jaxgen.sweeping import folder as folders


class Result(NamedTuple):
    """A run, what it reached, and the step at which it diverged."""

    number: int
    run: dict[str, Any]
    metrics: dict[str, float]
    diverged: int | None

    @property
    def fine(self):
        return self.diverged is None

    @property
    def values(self):
        """What it has in common with the same run of other seeds."""
        return tuple(x for key, x in self.run.items() if key != "seed")


def results(folder):
    """Of each run the last held-out numbers; where nothing is held out, the last ones of training."""
    lines, odd = [line for line in folder.lines if "diverged" not in line], folders.diverged(folder)
    tested = [line for line in lines if any(key.startswith("test_") for key in line)]
    last = (tested or lines or [{}])[-1]
    names = [key for key in last if key not in ("step", "seconds")]
    for number, (run, step) in enumerate(zip(folder.config["runs"], odd, strict=True)):
        yield Result(number, run, {key: last[key][number] for key in names}, step)


def write(folder):
    """Print the table, write the report."""
    found = list(results(folder))
    title, (header, rows) = heading(folder, found), combinations(folder, found)
    table = Table(title=title, title_justify="left")
    for name in header:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    with writing(folder.folder):
        drawn = draw(folder, found)
        page = [
            f"# {title}",
            told(folder, found),
            markdown(header, rows),
            *drawn,
            markdown(*alone(found)),
            made(folder),
        ]
        replace(folder.folder / "report.md", "\n\n".join(page) + "\n")
    print(told(folder, found))


def heading(folder, found):
    seeds, steps = len({one.run["seed"] for one in found}), folder.lines[-1]["step"]
    return f"{find.label(folder.config['family'])}, {seeds} seeds, {steps:,} steps: mean ± 95 % interval over seeds"


def combinations(folder, found):
    """-> header, a row each combination of values."""
    names = [key for key in found[0].run if key != "seed"]
    metrics = sorted(found[0].metrics, key=pictures.losses_first)
    header = [*names, "runs", "diverged", *(key.removeprefix("test_") for key in metrics), "best run"]
    rows = []
    for mine in grouped(found).values():
        fine = [one for one in mine if one.fine]
        cells = [interval([one.metrics[key] for one in fine]) for key in metrics]
        winner = best(folder, fine)
        odd = str(len(mine) - len(fine)) if len(fine) < len(mine) else ""
        rows.append(
            [*(f"{x:g}" for x in mine[0].values), str(len(mine)), odd, *cells, str(winner.number) if winner else ""]
        )
    return header, rows


def grouped(found):
    """{values: results of its seeds}."""
    groups: dict[tuple, list[Result]] = {}
    for one in found:
        groups.setdefault(one.values, []).append(one)
    return groups


def interval(values):
    """Mean and half the width of the 95 % interval of those that are finite, which one value has not."""
    values = [x for x in values if finite(x)]
    if not values:
        return ""
    mean, half = half_width(values)
    return f"{mean:.4g}" + (f" ± {half:.2g}" if len(values) > 1 else "")


def finite(x):
    """A run may be fine and what was held out too much for it; where it told nothing, there is None."""
    return x is not None and np.isfinite(x)


def best(folder, found):
    """The lowest by the metric that ranks runs, where the family names one."""
    name = f"test_{getattr(find.family(folder.config['family']), 'ranks', None)}"
    ranked = [one for one in found if one.fine and finite(one.metrics.get(name))]
    return min(ranked, key=lambda one: one.metrics[name], default=None)


def told(folder, found):
    """What the table does not say."""
    parts = [measured(folder, found)] if found[0].metrics else []
    parts += [
        f"run {one.number} ({listed.named(one.run)}) diverged at step {one.diverged}." for one in found if not one.fine
    ]
    if winner := best(folder, found):
        how = f"jaxgen sweep take {folder.folder} {winner.number}"
        parts.append(f"The best is run {winner.number} ({listed.named(winner.run)}); {how} makes it a run of its own.")
    each = folder.seconds / len(found)
    parts.append(f"All took {duration(folder.seconds)} minutes, {each:.1f} s a run.")
    return "\n".join(parts)


def measured(folder, found):
    """An average of few steps still knows the first weights: its loss is far from that of training."""
    if not any(key.startswith("test_") for key in found[0].metrics):
        return "The numbers are the last ones of training: nothing is held out."
    decay = folder.config["settings"]["ema"]
    weights = f", by the weights averaged with ema {decay:g}" if decay else ""
    return f"The numbers are of held-out images{weights}; the lines of the curves are of training."


def alone(found):
    """-> header, a row each run."""
    metrics = sorted(found[0].metrics, key=pictures.losses_first)
    header = ["run", *found[0].run, *(key.removeprefix("test_") for key in metrics)]
    number = lambda x: "" if x is None else f"{x:.6g}"
    state = lambda one, key: number(one.metrics[key]) if one.fine else f"diverged at step {one.diverged}"
    cells = lambda one: [*(f"{x:g}" for x in one.run.values()), *(state(one, key) for key in metrics)]
    return header, [[str(one.number), *cells(one)] for one in found]


def markdown(header, rows):
    line = lambda cells: f"| {' | '.join(cells)} |"
    return "\n".join(map(line, [header, ["--:"] * len(header), *rows]))


def draw(folder, found):
    """What the page shows: the curves, where matplotlib is installed and there is something to draw."""
    try:
        drawn = curves.draw(folder, grouped(found))
    except MissingExtra as missing:
        print(f"no curves: {missing}")
        return []
    return ["![Mean over the seeds, and its 95 % interval](curves.png)"] if drawn else []


def made(folder):
    return f"Made with {json.dumps(folder.config['made'])}."
