"""`jaxgen parity freeze` and `jaxgen parity replay`."""

import sys
from pathlib import Path
from typing import Literal

from jaxgen.parity import environment
from jaxgen.parity.bundle import files
from jaxgen.parity.bundle.freeze import freeze
from jaxgen.parity.bundle.replay import replay
from jaxgen.parity.result import report, write_json


def freeze_command(
    case: str,  # a family, a family's file, or FILE.py[:CASE]; the first, where a name stands for several
    out: str,  # the folder of the bundle
    twin: str | None = None,  # the PyTorch file of a family that is a file
) -> bool:
    """Keep a case with its weights, inputs and float64 truth in a folder, to be replayed without PyTorch."""
    freeze(case, out, twin)
    told = files.manifest(Path(out))
    size = sum(path.stat().st_size for path in Path(out).iterdir()) / 1e6
    print(f"{told['case']['label']}: frozen in {out}, {size:.1f} MB, rungs {', '.join(told['rungs'])}")
    return True


def replay_command(
    folder: str,  # of the bundle
    family: str | None = None,  # the file of the family, or FILE.py:CASE, if it is not where it was
    rung: tuple[Literal["float32", "tf32", "bf16", "f16"], ...] = (),  # precisions to judge beside float64
    json: str | None = None,  # where to write the result
) -> bool:
    """Compare the JAX side with the truth that a bundle keeps; PyTorch is not needed."""
    result = replay(folder, family, rungs=rung)
    for what, versions in {"frozen": result.shown["frozen"], "here": environment.versions()}.items():
        libraries = ", ".join(f"{name} {versions[name]}" for name in ("jax", "flax", "optax", "torch"))
        print(f"{what:6s} {versions['date']}: {libraries}, on {versions['device']}")
    print(result)
    print("holds" if result.ok else "DIFFERS. With PyTorch, `jaxgen parity diagnose` names layer and cause.")
    if json:
        write_json(report([result], command=" ".join(["jaxgen", *sys.argv[1:]])), json)
    return result.ok
