"""The table as a page in Markdown, and all that was measured as JSON."""

import json
from pathlib import Path

from jaxgen.errors import writing
from jaxgen.parity.semantics.found import cells
from jaxgen.parity.semantics.rows import versions

HEAD = """# PyTorch against JAX, Flax and Optax: the differences

Written by `jaxgen parity semantics --write docs/differences.md`, which runs every row as a check against the installed
versions (`jaxgen/parity/semantics/`) and fails where a row is no longer true. This is what it found with
{versions}.

- **off by**: the error of what one would write, at least, in units of the largest value of the array. ∞ is another
  shape, NaN or an error. Nothing: a fact (the values in `code` are measured), or both sides agree as they are.
- **left**: the error that stays when one does what the row says. All is float64 unless a row names another type.
- jax stands for JAX, Flax (Linen and NNX) and Optax; both kinds of Flax are run where both have the thing.
- The guides that some rows correct are `docs/guides/converting_and_upgrading/convert_pytorch_to_flax.rst`,
  `docs_nnx/migrating/convert_pytorch_to_flax.rst` and `docs_nnx/migrating/pytorch_to_jax_flax.rst` of google/flax, and
  `docs/source/JAX_porting_PyTorch_model.md` of jax-ml/jax-ai-stack.
"""


COLUMNS = "| item | torch | jax, as one would write it | off by | do | left |\n|---|---|---|---|---|---|"


def write(path, checked):
    with writing(path):
        Path(path).write_text(page(checked))


def page(checked):
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    parts = [HEAD.format(versions=told)]
    for title in dict.fromkeys(each.row.section for each in checked):
        parts += [f"\n## {title}\n\n{COLUMNS}\n"]
        parts += [line(*each) for each in checked if each.row.section == title]
    return "".join(parts)


def line(row, found):
    """Round-off is another on every machine, so the page says what it stays below."""
    naive, left = cells(found, lambda error: f"< {found.bound:.0e}")
    plain = lambda text: text.replace("|", "\\|").replace("*", "\\*").replace("<", "\\<")
    return f"| {' | '.join(map(plain, (row.item, row.torch, row.jax, naive, row.do, left)))} |\n"


def write_json(path, checked):
    """{"ok", "versions", "rows": [{section, name, item, torch, jax, do, ok, fault, and what was measured}]}."""
    each = lambda row, found: {
        **dict(zip(row._fields[:-1], row, strict=False)), "ok": not found.fault(row), "fault": found.fault(row),
        "kind": type(found).__name__.lower(), "found": {name: finite(value) for name, value in found._asdict().items()},
    }  # fmt: skip
    told = {"ok": not any(each.fault for each in checked), "versions": versions(), "rows": [each(*x) for x in checked]}
    with writing(path):
        Path(path).write_text(json.dumps(told, indent=1, allow_nan=False) + "\n")


def finite(value):
    """JSON has no infinity: the word stands for it."""
    if isinstance(value, list):
        return [finite(x) for x in value]
    return "inf" if value == float("inf") else value
