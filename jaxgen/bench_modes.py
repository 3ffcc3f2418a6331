"""Mode coverage of the GAN objectives on the ring and the grid of `modes.py`: all seeds of a game in one program."""

import json
import shlex
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxgen import core, find, modes, parallel
from jaxgen.errors import UserError, needs
from jaxgen.functional import Functional, named
from jaxgen.objectives import Name
from jaxgen.run import provenance
from jaxgen.statistics import half_width

DATA = {"ring": modes.ring, "grid": modes.grid}
# bce_half, documented and documented_half are the game of bce: its loss halved, or rounded elsewhere
GAMES: tuple[Name, ...] = (
    "bce", "saturating", "least_squares", "hinge", "wasserstein_gp", "r1", "r2", "relativistic", "relativistic_r1_r2",
)  # fmt: skip
UNITS = {"found": 1.0, "quality": 100.0, "kl": 1.0}  # as they are printed: quality in per cent


def compare(
    seeds: int = 16,  # runs of each game
    steps: int = 2000,  # of the generator; wasserstein_gp plays five turns of its critic in each
    objectives: tuple[Name, ...] = GAMES,  # the games
    hidden: tuple[int, ...] = (64, 64, 64),  # widths of both nets
    latent: int = 2,  # length of the noise
    batch: int = 128,  # rows of a turn
    lr: float = 1e-3,  # of both players, in all games
    betas: tuple[float, float] = (0.5, 0.9),  # of Adam, in all games
    out: str | None = None,  # FILE.json for the numbers
    plot: str | None = None,  # FILE.png for samples of the first seed
) -> list[dict[str, Any]]:
    """Modes found and share of high quality, of `mlp_gan` in the plane: mean and 95 % interval over the seeds."""
    if seeds < 2:
        raise UserError(f"seeds: expected at least 2, of which an interval can be told, got {seeds}.")
    asked = dict(seeds=seeds, steps=steps, hidden=hidden, latent=latent, batch=batch, lr=lr, betas=betas)
    about = {**provenance(), "command": shlex.join(["python", *sys.argv]), **asked, "samples": modes.SAMPLES}
    results, drawn = [bound(who, name, seeds) for who in BOUNDS for name in DATA], {}
    for objective in objectives:
        for name in DATA:
            result, drawn[objective, name] = measure(objective, name, **asked)
            print(f"{objective}, {name}: {told(result, 'found')} modes, {result['seconds']:.0f} s", flush=True)
            results.append(result)
            if out:  # after each: what is cut short is not lost
                save(out, about, results)
    Console(width=140).print(table(results, seeds, steps))
    if plot:
        draw(drawn, objectives, steps, plot)
    return results


def save(path, about, results):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")


def measure(objective, name, seeds, steps, hidden, latent, batch, lr, betas):
    """-> numbers of each seed, the points (N, 2) of the first."""
    family = Functional(find.family("mlp_gan")(1, 2, latent, hidden, objective))
    txs, data, roots = family.optimizers(lr, betas), DATA[name], keys(seeds)
    state = jax.jit(jax.vmap(partial(start, family, txs)))(roots)
    begun = time.perf_counter()
    run = parallel.jit(parallel.seeds(parallel.many(partial(step, family, txs, data, batch))))
    run = run.lower(state, jnp.arange(steps), roots).compile()
    compiled = time.perf_counter()
    state, _ = jax.block_until_ready(run(state, jnp.arange(steps), roots))
    seconds = {"seconds": time.perf_counter() - compiled, "compiling": compiled - begun}
    made = jax.jit(jax.vmap(partial(points, family, data)))(state, roots)
    return {"objective": objective, "data": name, **numbers(made, data), **seconds}, np.asarray(made[0])


def keys(seeds):
    """The root of seed i is the same whatever else is run."""
    return jax.vmap(jax.random.key)(jnp.arange(seeds))


def start(family, txs, root):
    return core.init(family, txs, named(root, "init"))


def step(family, txs, data, batch, state, number, root):
    """The step of that number of a run in the plane: rows for each turn, drawn anew."""
    rows = data.sample(jax.random.fold_in(named(root, "data"), number), batch * core.shares(family))
    return core.step(family, txs, state, {"image": (rows / data.scale).reshape(-1, 1, 1, 2)}, root)


def points(family, data, state, root):
    """(N, 2) of a generator, in the plane of the data."""
    draws = family.draw_sample(named(root, "samples"), modes.SAMPLES)
    return data.scale * family.sample(state.params, state.stats, draws).reshape(-1, 2)


def numbers(made, data):
    """{number: one for each seed} of points (seeds, N, 2)."""
    look = lambda points: modes.coverage(points, *data)
    return {key: x.tolist() for key, x in jax.jit(jax.vmap(look))(made)._asdict().items()}


def bound(who, name, seeds):
    """The numbers of as many points that no generator made."""
    make = lambda root: BOUNDS[who](DATA[name], named(root, "samples"))
    made = numbers(jax.vmap(make)(keys(seeds)), DATA[name])
    return {"objective": who, "data": name, **made, "seconds": 0.0, "compiling": 0.0}


def even(data, key):
    """Dust all over the plane that a generator reaches."""
    return data.scale * jax.random.uniform(key, (modes.SAMPLES, 2), minval=-1.0)


# the best there is, and what finds many modes by chance alone
BOUNDS = {"the data": lambda data, key: data.sample(key, modes.SAMPLES), "even dust": even}


def told(result, key):
    mean, half = (UNITS[key] * x for x in half_width(result[key]))
    digits = 2 if key == "kl" else 1
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def table(results, seeds, steps):
    drawn = Table(title=f"mlp_gan in the plane, {seeds} seeds, {steps} steps of the generator: mean ± 95 % interval")
    drawn.add_column("objective", no_wrap=True)
    for name, data in DATA.items():
        for column in (f"{name}: modes of {len(data.centres)}", "high quality %", "KL, nats", "s"):
            drawn.add_column(column, justify="right")
    for objective in dict.fromkeys(result["objective"] for result in results):
        mine = {result["data"]: result for result in results if result["objective"] == objective}
        cells = ([*(told(mine[name], key) for key in UNITS), f"{mine[name]['seconds']:.0f}"] for name in DATA)
        drawn.add_row(objective, *sum(cells, []))
    return drawn


def draw(drawn, objectives, steps, path):
    """A column each game: points of the first seed over the centres."""
    figure = needs("matplotlib.figure", "plots").Figure(
        figsize=(1.6 * len(objectives) + 0.2, 3.7), layout="constrained"
    )
    grid = figure.subplots(len(DATA), len(objectives), squeeze=False)
    for row, (name, data) in zip(grid, DATA.items(), strict=True):
        edge = 1.25 * np.abs(data.centres).max()
        for axes, objective in zip(row, objectives, strict=True):
            axes.scatter(*data.centres.T, s=40, color="#f2b134", linewidths=0)
            axes.scatter(*drawn[objective, name].T, s=0.6, color="#1b3a5c", alpha=0.6, linewidths=0)
            axes.set(xlim=(-edge, edge), ylim=(-edge, edge), xticks=[], yticks=[], aspect="equal")
            if name == next(iter(DATA)):
                axes.set_title(objective.replace("relativistic_", "relativistic\n"), fontsize=9)
    figure.suptitle(f"{modes.SAMPLES:,} samples of seed 0 after {steps:,} steps (dark) over the true modes", fontsize=9)
    figure.savefig(path, dpi=100)
    print(f"drawn: {path}")
