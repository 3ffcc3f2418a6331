"""Replaying a bundle: the JAX side of today beside the truth of the day it was frozen. Needs no torch."""

import time

import jax

from jaxgen.errors import UserError
from jaxgen.parity.bundle import files
from jaxgen.parity.bundle.frozen import Frozen, family_of
from jaxgen.parity.bundle.rows import rows_of
from jaxgen.parity.bundle.rungs import check, judged
from jaxgen.parity.compare import LEVELS, merged
from jaxgen.parity.result import Result

WITHOUT = "signatures and trajectory need torch"


def exact():
    """Whether this device has float64; a TPU imitates it by pairs of float32."""
    return jax.default_backend() != "tpu"


def replay(folder, case=None, *, rungs=(), only=()) -> Result:
    """-> Result, as of `verify`, of the levels that a bundle keeps. `case` is where the JAX side is now, if it moved: a
    family's file, FILE.py:NAME, a case, a stranger's port itself, or `port(...)` of it. Where there is no float64 the
    case is judged in `rungs` alone, float32 if none is given."""
    if odd := [name for name in only if name not in LEVELS]:
        raise UserError(f"unknown level {odd[0]!r}. There are {', '.join(LEVELS)}.")
    begun, bundle = time.perf_counter(), files.read(folder)
    rungs, only = (rungs, {"names", *(only or LEVELS)}) if exact() else (rungs or ("float32",), {"names"})
    anew = lambda: Frozen(bundle, family_of(bundle, case))
    with jax.enable_x64(True):
        frozen = anew()
        check(frozen, rungs)
        rows = merged(("", row) for row in rows_of(frozen, only) if row.level in only)
        # JAX keeps a NumPy index by its identity, in the integers of the precision that met it first
        ladder = [judged(anew(), name) for name in rungs] if all(row.ok for row in rows) else []
    label = f"{bundle.told['case']['label']}, replayed ({WITHOUT if exact() else 'no float64 on this device'})"
    frozen.shown["frozen"] = bundle.told["versions"]
    return Result(label, rows, ladder, frozen.shown, time.perf_counter() - begun)
