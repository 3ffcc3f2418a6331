"""docs/errata.md: every row in two lines, by document. It holds no numbers that were measured."""

import itertools
from collections import Counter

from jaxgen.parity.errata.rows import introduction

HEAD = """# Errata of the documents
Written by `jaxgen parity errata --write docs/errata.md`; do not edit. The five documents print PyTorch that does not
run, that computes something else than it says, or that is a hazard. Each of the {count} defects is a row of two lines:
what is printed, and how it is mended, as little as possible. The rows are code (`jaxgen/parity/errata/`). `jaxgen
parity errata [ID ...]` reproduces each failure on a CPU with the installed PyTorch and shows the mended form at work;
`parity_tests/test_errata.py` keeps it so. What a row says of a layer, a transform or a file is tested in the file it
names; that the mended training loops (`torch_ref/documented/`) give the steps of the families is tested in
`parity_tests/test_twins.py`.

{mended} rows are mended in jaxgen. {waiting} belong to systems that are not built yet, and show their mend as a
formula until then: {parts}.
"""


def markdown(rows) -> str:
    rows = list(rows)
    waiting = Counter(row.until for row in rows if row.until)
    parts = ", ".join(f"{count} for {part}" for part, count in sorted(waiting.items()))
    numbers = dict(count=len(rows), mended=len(rows) - waiting.total(), waiting=waiting.total(), parts=parts)
    sections = itertools.groupby(rows, lambda row: row.document)
    return "\n".join([HEAD.format(**numbers), *(section(document, list(own)) for document, own in sections)])


def section(document, rows):
    """A document: what it is, and its rows."""
    return "\n".join([f"## Document {document}", introduction(document), "", *map(entry, rows), ""])


def entry(row):
    place = row.where.partition(", ")[2]
    state = f"*Mend, waits for {row.until}*" if row.until else "*Mended*"
    return f"- **{row.id}**, {place}, {row.severity}: {row.printed}  \n  {state}: {row.mend}"
