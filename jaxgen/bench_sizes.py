"""Training steps at other sizes than the documented ones: no form is chosen for those alone."""

from typing import Any

from rich.console import Console
from rich.table import Table

from jaxgen.bench import contestants, measure, save
from jaxgen.bench_machine import ceilings
from jaxgen.bench_tables import line
from jaxgen.bench_torch import on_all_cores, told
from jaxgen.errors import UserError
from jaxgen.run import provenance

IMAGES: list[dict[str, Any]] = [dict(batch=4), dict(batch=16), dict(batch=16, width=32), dict(batch=16, width=96)]
ROWS: list[dict[str, Any]] = [dict(batch=4), dict(batch=16), dict(batch=256), dict(batch=64, size=8)]
SIZES: dict[str, list[dict[str, Any]]] = {  # what differs from the documented loop
    "dcgan": IMAGES,
    "dcgan_32": [*IMAGES, dict(batch=64, width=16), dict(batch=128, width=32), dict(batch=256)],
    "wgan_gp": [*IMAGES[1:3], dict(batch=16, size=32), dict(batch=64, size=32)],
    "ddpm": [*IMAGES, *(dict(batch=n, size=size) for size, n in ((8, 16), (16, 4), (16, 16), (16, 64), (32, 16)))],
    "mlp_gan": [*ROWS, dict(batch=64, hidden=(64, 128, 256)), dict(batch=16, size=64)],
    "vae": [*ROWS, dict(batch=64, hidden=(64, 64)), dict(batch=64, hidden=(1024, 1024)), dict(batch=16, size=64)],
}
SCAN = 4  # steps in one call of `many`
OURS = ("jit", "many")


def sizes(
    families: tuple[str, ...] = tuple(SIZES),  # whose sizes are varied
    rounds: int = 3,  # of each side, in turn
    seconds: float = 1.0,  # about how long a round of one side takes
    out: str | None = None,  # FILE.json for the numbers
) -> list[dict[str, Any]]:
    """Median milliseconds a step of PyTorch eager and of ours, where batch, images and widths are not the documented,
    and the smallest ratio of all (float32)."""
    if unknown := set(families) - set(SIZES):
        raise UserError(f"families: expected some of {', '.join(SIZES)}, got {', '.join(sorted(unknown))}.")
    on_all_cores()
    about, results = {**provenance(), **told(), "ceilings": ceilings()}, []
    for family in families:
        for changes in SIZES[family]:
            result = measure(family, contestants(family, scan=SCAN, **changes), rounds, seconds, SCAN)
            results.append({"family": family, "changed": changes, **{key: result[key] for key in ("ms", "ratio")}})
            Console(width=130).print(f"{family}, {words(changes)}: {line(result)}", style="dim")
            if out:
                save(out, about, results)
    Console(width=130).print(table(results))
    return results


def words(changes):
    return ", ".join(f"{key} {value}" for key, value in changes.items())


def table(results):
    least = min(result["ratio"][side] for result in results for side in OURS)
    drawn = Table(title=f"one training step: median ms, and PyTorch's time over ours; the least is {least:.2f} x")
    for column in ("model", "changed"):
        drawn.add_column(column)
    for column in ("torch", *OURS, *OURS):
        drawn.add_column(column, justify="right")
    for result in results:
        times = (f"{result['ms'][side][1]:.2f}" for side in ("torch", *OURS))
        ratios = (f"{result['ratio'][side]:.2f} x" for side in OURS)
        drawn.add_row(result["family"], words(result["changed"]), *times, *ratios)
    return drawn
