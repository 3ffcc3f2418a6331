"""Curves of a sweep: a panel a metric, a line a combination of values, with the interval over its seeds as a band."""

import itertools

import numpy as np

from jaxgen import pictures
from jaxgen.errors import needs


def draw(folder, groups, half_width):
    """`groups` {values: results}, `half_width` of an interval; runs that diverged are in no line."""
    figure, lines = needs("matplotlib.figure", "plots"), folder.lines
    names = {key.removeprefix("test_") for line in lines for key in line} - {"step", "seconds", "diverged"}
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    sheet = figure.Figure(figsize=(4.2 * columns, 3 * rows + 0.3), layout="constrained")
    panels = np.atleast_1d(sheet.subplots(rows, columns)).ravel()
    for axes, name in itertools.zip_longest(panels, sorted(names, key=pictures.losses_first)):
        axes.set_visible(name is not None)
        if name:
            panel(axes, name, lines, groups, half_width)
    if len(groups) > 1:
        sheet.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    sheet.savefig(folder.folder / "curves.png", dpi=120)


def panel(axes, name, lines, groups, half_width):
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
                mean, half = half_width(np.asarray(x, np.float64).T)
                mark = "." if len(seen) < 30 else None
                told = label if key == name else None
                axes.plot(steps, mean, style, color=f"C{place % 10}", linewidth=1.2, label=told, marker=mark)
                axes.fill_between(steps, mean - half, mean + half, color=f"C{place % 10}", alpha=0.2, linewidth=0)
    axes.set(title=name.replace("_", " "), xlabel="step")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
