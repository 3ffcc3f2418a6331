"""Curves of a sweep: a panel a metric, a line a combination of values, with the interval over its seeds as a band."""

from functools import partial

import numpy as np

from jaxgen import pictures
from jaxgen.statistics import half_width


def draw(folder, groups):
    """`groups` {values: results}; runs that diverged are in no line. None where there is nothing to draw."""
    lines = [line for line in folder.lines if "diverged" not in line]
    fill = partial(panel, lines=lines, groups=groups)
    return pictures.panels(lines, folder.folder / "curves.png", fill, legend=len(groups) > 1)


def panel(axes, name, lines, groups):
    """Training as a line, what was held out dashed."""
    for place, (values, found) in enumerate(groups.items()):
        fine = [one.number for one in found if one.fine]
        label = ", ".join(
            f"{key} {x:g}" for key, x in zip([k for k in found[0].run if k != "seed"], values, strict=True)
        )
        for key, style in ((name, "-"), (f"test_{name}", "--")):
            seen = [(line["step"], [line[key][i] for i in fine]) for line in lines if key in line and fine]
            if seen:
                steps, x = zip(*seen, strict=True)
                mean, half = half_width(np.transpose(x))
                mark = "." if len(seen) < 30 else None
                told = label if key == name else None
                axes.plot(steps, mean, style, color=f"C{place % 10}", linewidth=1.2, label=told, marker=mark)
                axes.fill_between(steps, mean - half, mean + half, color=f"C{place % 10}", alpha=0.2, linewidth=0)
