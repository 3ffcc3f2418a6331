"""Training steps of the documented models, jaxgen against the documented PyTorch loop, in turn in one run."""

import json
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from jaxgen import core, find, parallel, precision, settings, weights
from jaxgen.bench_machine import ceilings, work
from jaxgen.bench_tables import THEIRS, drawn, line, rates
from jaxgen.bench_torch import at_precision, device, finished, on_all_cores, rivals, told
from jaxgen.errors import UserError, needs
from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.run import provenance

AGREED = {"float32": 1e-3, "tf32": 1e-2, "bf16": 5e-2}  # of each loss before anything is timed


def bench(
    families: tuple[str, ...] = ("dcgan", "dcgan_32", "mlp_gan", "vae", "wgan_gp", "ddpm"),  # at documented sizes
    batch: int = 64,  # rows of a step
    rounds: int = 7,  # of each side, in turn
    seconds: float = 4.0,  # about how long a round of one side takes
    scan: int = 4,  # steps in one call of `many`
    policies: tuple[precision.Policy, ...] = ("float32",),  # precisions of products; PyTorch's flags are set to match
    compiled: bool = False,  # PyTorch's nets under torch.compile as well, in each mode that works here
    width: int = 0,  # of the nets; 0: the documented
    size: int = 0,  # of the images, in pixels; 0: the documented
    out: str | None = None,  # FILE.json for the numbers
) -> list[dict[str, Any]]:
    """Median milliseconds a step, interquartile range, and the ratio: the time of PyTorch's best side over ours; beside
    it the work of a step (operations of the textbook's forms, bytes as XLA counts them), and the rates at which it was
    done, as parts of what the machine can do."""
    on_all_cores()
    changes = {key: n for key, n in (("width", width), ("size", size)) if n}
    for name in families:  # before minutes are spent on others
        build(name, changes)
    most, results = ceilings(), []
    about = {**provenance(), **told(), "batch": batch, "ceilings": most, **changes}
    for policy in policies:
        for name in families:
            with precision.scope(policy), at_precision(policy):
                sides = contestants(name, batch, scan, compiled, policy, **changes)
                result = measure(name, sides, rounds, seconds, scan, AGREED[policy])
                counted = work(*prepared(name, batch, 1, policy, **changes))
            results.append({"precision": policy, **result, "work": counted})
            Console(width=130).print(f"{name}, {policy}: {line(results[-1])}", style="dim")
            if out:  # after each: what is cut short is not lost
                save(out, about, results)
    for policy in policies:
        mine = [result for result in results if result["precision"] == policy]
        for table in (drawn(mine, batch, policy=policy), rates(mine, most, policy)):
            Console(width=130).print(table)
    return results


def save(path, about, results):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps({"about": about, "results": results}, indent=2) + "\n")


def measure(name, sides, rounds, seconds, scan=1, agreed=AGREED["float32"]):
    """The sides in turn, so that whatever slows the machine slows all of them. A side of PyTorch's that its compiler
    cannot run is told and left out."""
    losses = {}
    for side, run in list(sides.items()):
        try:
            losses[side] = run(1)[1]
        except (RuntimeError, AssertionError) as error:
            if side not in THEIRS[1:]:
                raise
            reason = (str(error).splitlines() or [""])[0]
            Console(width=130).print(f"{name}, {side}: left out, {type(error).__name__}: {reason}", style="yellow")
            del sides[side]
    if not all(np.allclose(x, losses["torch"], rtol=agreed) for x in losses.values()):
        raise UserError(f"{name}: the sides do not agree before they are timed: {losses}.")
    times = alternate(sides, rounds, seconds, scan)
    quartiles = {side: np.percentile(x, (25, 50, 75)).tolist() for side, x in times.items()}
    best = min((side for side in sides if side in THEIRS), key=lambda side: quartiles[side][1])
    ratios = {side: [t / x for t, x in zip(times[best], times[side], strict=True)] for side in sides}
    return {
        "family": name,
        "ms": quartiles,
        "best of torch": best,
        "ratio": {side: float(np.median(x)) for side, x in ratios.items()},
        "losses": losses,
    }


def alternate(sides, rounds, seconds, scan):
    """{side: milliseconds a step in each round}."""
    once = {side: run(2 * scan)[0] for side, run in sides.items()}
    counts = {side: max(1, round(seconds / once[side] / scan)) * scan for side in sides}
    times: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            times[side].append(1e3 * run(counts[side])[0])
    return times


def contestants(name, batch, scan, compiled=False, policy="float32", **changes) -> dict[str, Callable]:
    """{side: steps -> seconds a step, the losses of the first step}, with the same weights, work and data; a GAN's
    second loss is of nets that were updated already."""
    torch, loop = needs("torch", "verify"), documented(name)
    torch.manual_seed(0)
    family, txs, data, key = prepared(name, batch, scan, policy, stacked=True, **changes)
    twin = find.twin(loop.family)(**loop.matches | changes)
    first = family.draw(jax.random.fold_in(key, 0), pairs.at(data, 0))
    state_dict = {key: value.numpy().copy() for key, value in twin.state_dict().items()}
    step = partial(core.step, family, txs)
    fresh = partial(begin, family, txs, state_dict)
    theirs = rivals(twin, compiled, policy)
    on_device = lambda tree: jax.tree.map(lambda x: x.to(device()), tree)
    given = on_device(pairs.to_torch(family, (pairs.at(data, 0), first)))
    return {
        **{side: partial(torch_steps, loop, rival, state_dict, *given) for side, rival in theirs.items()},
        "jit": partial(jax_steps, parallel.jit(step), fresh, [pairs.at(data, i) for i in range(scan)], key, 1),
        "many": partial(jax_steps, parallel.jit(parallel.many(step)), fresh, [data], key, scan),
    }


def documented(name):
    """The loop as its document prints it."""
    there = sorted(module.name for module in iter_modules(import_module("torch_ref.documented").__path__))
    if name not in there:
        raise UserError(f"families: expected some of {', '.join(there)}, got {name!r}.")
    return import_module(f"torch_ref.documented.{name}")


def build(name, changes):
    """The family whose arguments are those of the documented loop, but for some."""
    loop = documented(name)
    cls = find.family(loop.family)
    known = signature(cls.__init__).parameters
    if unknown := changes.keys() - known:
        raise UserError(f"{name}: has no {', '.join(sorted(unknown))} to change. Leave it out for this model.")
    settings.choices(known, changes)
    return cls(**loop.matches | changes)


def prepared(name, batch, scan, policy="float32", stacked=False, **changes):
    """-> family, optimisers, batches for so many steps (or one, not stacked), key: what the documented loop prints."""
    loop = documented(name)
    family = Functional(build(name, changes), precision.compute(policy))
    rng, inputs = np.random.default_rng(0), family.inputs(batch * core.shares(family))
    data = {k: jnp.asarray(rng.uniform(x.low, x.high, (scan, *x.shape)), x.dtype) for k, x in inputs.items()}
    txs = family.optimizers(**getattr(loop, "rates", {}))
    return family, txs, data if stacked else pairs.at(data, 0), jax.random.key(0)


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
    """The printed loop; each step draws its noise anew, as ours does (normal numbers for all of it: their kind costs
    nothing). The first step, which makes the optimiser's state, is not timed."""
    torch = needs("torch", "verify")
    weights = {key: torch.from_numpy(x) for key, x in state_dict.items()}
    twin.load_state_dict(weights)
    images, *noise = given = loop.arguments(batch, draws)
    anew = lambda x: torch.randn_like(x) if x.is_floating_point() else x
    marks = []

    def loader():
        yield given
        marks.append(finished())
        for _ in range(steps):
            yield images, *jax.tree.map(anew, noise)
        marks.append(finished())

    first = [loss.item() for loss in loop.train(twin, [given])]
    twin.load_state_dict(weights)
    loop.train(twin, loader())
    return (marks[-1] - marks[0]) / steps, first
