"""What the benchmarks print."""

from rich.table import Table

THEIRS = ("torch", "compiled", "cudagraphs", "channels last")  # sides that are PyTorch's


def line(result):
    return ", ".join(f"{side} {ms[1]:.3g} ms" for side, ms in result["ms"].items())


def drawn(results, batch, what="one training step", policy="float32"):
    title = f"{what}, batch {batch}, {policy}: median ms (quartiles), and the time of PyTorch's best side over ours"
    table = Table(title=title)
    sides = list(dict.fromkeys(side for result in results for side in result["ms"]))
    ours = [side for side in sides if side not in THEIRS]
    for column in ("model", *sides, *ours):
        table.add_column(column, justify="left" if column == "model" else "right")
    for result in results:
        cell = lambda side, ms=result["ms"]: "{1:.2f} ({0:.2f}-{2:.2f})".format(*ms[side]) if side in ms else "-"
        ratios = (f"{result['ratio'][side]:.2f} x" for side in ours)
        table.add_row(result["family"], *map(cell, sides), *ratios)
    return table


def rates(results, most, policy="float32"):
    """The work of a step, and which parts of the machine's rates the fastest of ours and of PyTorch's reach."""
    peak, copy = most.get(f"{policy} flop/s", most["float32 flop/s"]), most["bytes/s"]
    table = Table(title=f"{peak:.3g} flop/s in a product, {copy:.3g} bytes/s in a copy")
    table.add_column("model")
    for column in ("Gflop a step", "ours", "PyTorch's", "GB moved a step", "ours", "MB beside the state", "compiling"):
        table.add_column(column, justify="right")
    for result in results:
        did, mine, rival = result["work"], fastest(result, theirs=False), fastest(result, theirs=True)
        flops = f"{did['flops'] / 1e9:.2f}", f"{did['flops'] / mine / peak:.0%}", f"{did['flops'] / rival / peak:.0%}"
        moved = f"{did['bytes'] / 1e9:.2f}", f"{did['bytes'] / mine / copy:.0%}"
        table.add_row(
            result["family"],
            *flops,
            *moved,
            f"{did['temporary bytes'] / 1e6:.0f}",
            f"{did['compile seconds']:.1f} s",
        )
    return table


def fastest(result, theirs):
    """Seconds a step."""
    return min(ms[1] for side, ms in result["ms"].items() if (side in THEIRS) == theirs) / 1e3
