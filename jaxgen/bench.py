"""Training steps of the documented models, jaxgen against the documented PyTorch loop, in turn in one run."""

import copy
import json
import os
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxgen import core, find, parallel, weights
from jaxgen.bench_machine import ceilings, work
from jaxgen.errors import UserError, needs
from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.run import provenance

AGREED = 1e-3  # of each loss, in float32, before anything is timed


def bench(
    families: tuple[str, ...] = ("dcgan", "mlp_gan", "vae", "wgan_gp", "ddpm"),  # documented sizes, float32
    batch: int = 64,  # rows of a step
    rounds: int = 7,  # of each side, in turn
    seconds: float = 4.0,  # about how long a round of one side takes
    scan: int = 4,  # steps in one call of `many`
    compiled: bool = False,  # PyTorch's nets under torch.compile as well
    out: str | None = None,  # FILE.json for the numbers
) -> list[dict[str, Any]]:
    """Median milliseconds a step, interquartile range, and the ratio: PyTorch's time over ours; beside it the work of a
    step, as XLA counts it, and the rates at which it was done, as parts of what the machine can do."""
    torch = needs("torch", "verify")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    results, most = [], ceilings()
    for name in families:
        told = measure(name, contestants(name, batch, scan, compiled), rounds, seconds, scan)
        results.append(told | {"work": work(*prepared(name, batch, 1))})
        Console(width=110).print(f"{name}: done", style="dim")
    for table in (drawn(results, batch), rates(results, most)):
        Console(width=110).print(table)
    if out:
        about = {**provenance(), "torch": torch.__version__, "threads": torch.get_num_threads(), "batch": batch}
        about |= {"ceilings": most}
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(json.dumps({"about": about, "results": results}, indent=2) + "\n")
    return results


def measure(name, sides, rounds, seconds, scan=1):
    losses = {side: run(1)[1] for side, run in sides.items()}
    if not all(np.allclose(x, losses["torch"], rtol=AGREED) for x in losses.values()):
        raise UserError(f"{name}: the sides do not agree before they are timed: {losses}.")
    once = {side: run(2 * scan)[0] for side, run in sides.items()}
    counts = {side: max(1, round(seconds / once[side] / scan)) * scan for side in sides}
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            times[side].append(1e3 * run(counts[side])[0])
    quartiles = {side: np.percentile(x, (25, 50, 75)).tolist() for side, x in times.items()}
    ratios = {side: [t / x for t, x in zip(times["torch"], times[side], strict=True)] for side in sides}
    return {
        "family": name,
        "ms": quartiles,
        "ratio": {side: float(np.median(x)) for side, x in ratios.items()},
        "losses": losses,
    }


def contestants(name, batch, scan, compiled=False) -> dict[str, Callable]:
    """{side: steps -> seconds a step, the losses of the first step}, with the same weights, work and data; a GAN's
    second loss is of nets that were updated already."""
    torch, loop = needs("torch", "verify"), import_module(f"torch_ref.documented.{name}")
    torch.manual_seed(0)
    twin = find.twin(name)(**loop.matches)
    family, txs, data, key = prepared(name, batch, scan, stacked=True)
    first = family.draw(jax.random.fold_in(key, 0), pairs.at(data, 0))
    state_dict = {key: value.numpy().copy() for key, value in twin.state_dict().items()}
    step = partial(core.step, family, txs)
    fresh = partial(begin, family, txs, state_dict)
    given = state_dict, *pairs.to_torch(family, (pairs.at(data, 0), first))
    rivals = {"torch": twin} | ({"compiled": compiled_nets(twin)} if compiled else {})
    return {
        **{side: partial(torch_steps, loop, rival, *given) for side, rival in rivals.items()},
        "jit": partial(jax_steps, parallel.jit(step), fresh, [pairs.at(data, i) for i in range(scan)], key, 1),
        "many": partial(jax_steps, parallel.jit(parallel.many(step)), fresh, [data], key, scan),
    }


def prepared(name, batch, scan, stacked=False):
    """-> family, optimisers, batches for so many steps (or one, not stacked), key: what the documented loop prints."""
    family = Functional(find.family(name)(**import_module(f"torch_ref.documented.{name}").matches))
    rng, inputs = np.random.default_rng(0), family.inputs(batch * core.shares(family))
    data = {k: jnp.asarray(rng.uniform(x.low, x.high, (scan, *x.shape)), x.dtype) for k, x in inputs.items()}
    return family, family.optimizers(), data if stacked else pairs.at(data, 0), jax.random.key(0)


def compiled_nets(twin):
    """A copy whose nets run under torch.compile, with the same keys."""
    twin = copy.deepcopy(twin)
    for net in twin.children():
        net.compile()
    return twin


def begin(family, txs, state_dict):
    """The state with the twin's weights."""
    params, stats = family.init(jax.random.key(0))
    for net in params:
        mine = {key.removeprefix(f"{net}."): x for key, x in state_dict.items() if key.startswith(f"{net}.")}
        params[net], moved = weights.from_state_dict(params[net], stats.get(net, {}), mine)
        stats |= {net: moved} if moved else {}
    return core.init(family, txs, jax.random.key(0)).replace(params=params, stats=stats)


def jax_steps(run, fresh, batches, key, each, steps):
    state = fresh()
    state, metrics = run(state, batches[0], key)
    first = [
        float(np.ravel(metrics[key])[0]) for key in ("disc_loss", "critic_loss", "gen_loss", "loss") if key in metrics
    ]
    jax.block_until_ready(state)
    begun = time.perf_counter()
    for i in range(max(1, steps // each)):
        state, metrics = run(state, batches[i % len(batches)], key)
    jax.block_until_ready(state)
    return (time.perf_counter() - begun) / (max(1, steps // each) * each), first


def torch_steps(loop, twin, state_dict, batch, draws, steps):
    """The printed loop; each step draws its noise anew, as ours does. The first step, which makes the optimiser's
    state, is not timed."""
    torch = needs("torch", "verify")
    twin.load_state_dict({key: torch.from_numpy(x) for key, x in state_dict.items()})
    *kept, noise = loop.arguments(batch, draws)
    marks = []

    def loader():
        yield *kept, noise
        for _ in range(steps):
            marks.append(time.perf_counter())
            yield *kept, torch.randn_like(noise)
        marks.append(time.perf_counter())

    first = [loss.item() for loss in loop.train(twin, [(*kept, noise)])]
    twin.load_state_dict({key: torch.from_numpy(x) for key, x in state_dict.items()})
    loop.train(twin, loader())
    return (marks[-1] - marks[0]) / steps, first


def drawn(results, batch, what="one training step"):
    table = Table(title=f"{what}, batch {batch}, float32: median ms (quartiles), and PyTorch's time over ours")
    sides = list(results[0]["ms"])
    ours = [side for side in sides if side not in ("torch", "compiled")]
    for column in ("model", *sides, *ours):
        table.add_column(column, justify="left" if column == "model" else "right")
    for result in results:
        cell = lambda side, ms=result["ms"]: "{1:.2f} ({0:.2f}-{2:.2f})".format(*ms[side])
        ratios = (f"{result['ratio'][side]:.2f} x" for side in ours)
        table.add_row(result["family"], *map(cell, sides), *ratios)
    return table


def rates(results, most):
    """The work of a step, and which part of the machine's rates the fastest of ours and of PyTorch's reach."""
    table = Table(title="{float32 flop/s:.3g} flop/s in a product, {bytes/s:.3g} bytes/s in a copy".format(**most))
    for column in ("model", "Gflop a step", "ours", "PyTorch's", "GB moved a step", "MB beside the state", "compiling"):
        table.add_column(column, justify="left" if column == "model" else "right")
    for result in results:
        did = result["work"]
        best = lambda theirs, ms=result["ms"]: min(
            quartiles[1] for side, quartiles in ms.items() if (side in ("torch", "compiled")) == theirs
        )
        part = lambda theirs, did=did, best=best: f"{did['flops'] / best(theirs) * 1e3 / most['float32 flop/s']:.0%}"
        sizes = f"{did['bytes'] / 1e9:.2f}", f"{did['temporary bytes'] / 1e6:.0f}", f"{did['compile seconds']:.1f} s"
        table.add_row(result["family"], f"{did['flops'] / 1e9:.2f}", part(False), part(True), *sizes)
    return table
