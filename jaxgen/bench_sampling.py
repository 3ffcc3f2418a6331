"""Sampling by a diffusion family, jaxgen against the twin's loop, in turn in one run."""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from jaxgen import find, parallel
from jaxgen.bench import begin, compiled_nets, drawn, measure
from jaxgen.errors import needs
from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.run import provenance


def sampling(
    family: str = "ddpm",  # at its documented size, float32
    count: int = 16,  # images
    sampler: str = "ddim",  # from noise to images
    sampling_steps: int = 20,  # of the sampler
    rounds: int = 5,  # of each side, in turn
    compiled: bool = False,  # PyTorch's net under torch.compile as well
    out: str | None = None,  # FILE.json for the numbers
) -> dict[str, Any]:
    """Median milliseconds for all images, interquartile range, and the ratio: PyTorch's time over ours."""
    torch = needs("torch", "verify")
    sides = contestants(family, count, {"sampler": sampler, "sampling_steps": sampling_steps}, compiled)
    result = measure(family, sides, rounds, 0.0)
    Console(width=110).print(drawn([result], count, f"{sampling_steps} steps of {sampler}"))
    if out:
        about = {**provenance(), "torch": torch.__version__, "threads": torch.get_num_threads()}
        asked = {"count": count, "sampler": sampler, "sampling_steps": sampling_steps}
        Path(out).write_text(json.dumps({"about": about | asked, "results": [result]}, indent=2) + "\n")
    return result


def contestants(name, count, arguments, compiled):
    """{side: rounds -> seconds, the mean of the images}, with the same weights and noise."""
    torch = needs("torch", "verify")
    torch.manual_seed(0)
    twin, family = find.twin(name)(**arguments).eval(), Functional(find.family(name)(**arguments))
    state_dict = {key: value.numpy().copy() for key, value in twin.state_dict().items()}
    state = begin(family, family.optimizers(), state_dict)
    draws = pairs.sample_draws(family, jax.random.key(0), count)
    run = jax.jit(family.sample, compiler_options=parallel.options())
    rivals = {"torch": twin} | ({"compiled": compiled_nets(twin)} if compiled else {})
    given = pairs.to_torch(family, draws, torch.float32)
    ours = {"jit": partial(timed, lambda: np.asarray(run(state.params, state.stats, draws)))}
    return {side: partial(timed, partial(theirs, rival, given)) for side, rival in rivals.items()} | ours


def theirs(twin, draws):
    with needs("torch", "verify").no_grad():
        return twin.sample(draws).numpy()


def timed(run, rounds):
    first = run()
    begun = time.perf_counter()
    for _ in range(rounds):
        run()
    return (time.perf_counter() - begun) / rounds, [float(np.abs(first).mean())]
