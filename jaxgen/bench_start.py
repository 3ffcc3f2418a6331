"""How long `jaxgen train` takes to its first step: in a process of its own, without compiled programs and with them."""

import os
import re
import sys
import tempfile
import time
from pathlib import Path
from statistics import median_low
from subprocess import PIPE, STDOUT, Popen

from rich.console import Console
from rich.table import Table

from jaxgen import find
from jaxgen.bench import save
from jaxgen.data import load
from jaxgen.data.builtin import cache
from jaxgen.errors import UserError
from jaxgen.parity.processes import cores
from jaxgen.run import provenance


def start(
    families: tuple[str, ...] = (),  # by name; none: all of the package
    data: str = "digits",  # what they are trained on, by its recipe
    rounds: int = 3,  # starts that find their programs compiled; the median counts
    out: str | None = None,  # FILE.json for the numbers
) -> list[dict]:
    """Seconds from the command to the line of the first step, and to its end: held-out numbers, pictures, saving."""
    if rounds < 1:
        raise UserError(f"rounds: expected 1 or more, got {rounds}.")
    path = str(Path(data).resolve()) if Path(data).exists() else data  # a run starts in a folder of its own
    load(path)  # what has to be fetched is there before a start is timed
    about, results = {**provenance(), "data": data, "cores": cores()}, []
    for family in families or find.names():
        with tempfile.TemporaryDirectory() as folder:
            cold, *warm = (timed(family, path, folder, f"{i}") for i in range(1 + rounds))
        middle = {what: median_low(each[what] for each in warm) for what in cold}
        results.append({"family": family, "cold": cold, "warm": middle})
        found = cold["first step"], middle["first step"]
        Console(width=130).print("{}: {:.1f} s, {:.1f} s".format(family, *found), style="dim")
        if out:
            save(out, about, results)
    Console(width=130).print(table(results, data))
    return results


def timed(family, data, folder, name):
    """-> {"first step": seconds, "end": seconds}. The folder keeps the programs, and nobody else's are found."""
    words = [sys.executable, "-m", "jaxgen", "train", family, "--data", data, "--steps", "1", "--name", name]
    away = {"JAX_COMPILATION_CACHE_DIR", "JAXGEN_PROGRAMS"}
    place = Path(os.environ.get("JAXGEN_DATA") or cache()).resolve()
    env = {key: x for key, x in os.environ.items() if key not in away}
    env |= {"XDG_CACHE_HOME": folder, "JAXGEN_DATA": str(place), "PYTHONUNBUFFERED": "1"}
    told, first, begun = [], None, time.perf_counter()
    with Popen(words, cwd=folder, env=env, stdout=PIPE, stderr=STDOUT, text=True) as process:
        for line in process.stdout:
            told.append(line)
            if first is None and re.match(r"step 1/1\b", line):
                first = time.perf_counter() - begun
    if process.returncode or first is None:
        last = [line.strip() for line in told if line.strip()][-1:]
        raise UserError(f"{family} by {data}: no first step was made: {' '.join(last)}")
    return {"first step": round(first, 2), "end": round(time.perf_counter() - begun, 2)}


def table(results, data):
    drawn = Table(title=f"jaxgen train FAMILY --data {data} --steps 1: seconds to the first step (to the end)")
    drawn.add_column("family")
    for column in ("no program is kept", "programs are kept"):
        drawn.add_column(column, justify="right")
    for result in results:
        cells = (f"{result[side]['first step']:.1f} ({result[side]['end']:.1f})" for side in ("cold", "warm"))
        drawn.add_row(result["family"], *cells)
    return drawn
