"""Sampling, jaxgen against the twin's, in turn in one run."""

import time
from functools import partial
from inspect import signature
from typing import Any

import jax
import numpy as np
from rich.console import Console

from jaxgen import find, parallel, precision, settings
from jaxgen.bench import begin, measure, save
from jaxgen.bench_tables import drawn, line
from jaxgen.bench_torch import at_precision, device, on_all_cores, rivals, told
from jaxgen.errors import UserError, needs
from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.run import provenance


def sampling(
    family: str = "ddpm",  # at its documented size, float32
    count: int = 16,  # images
    net: str = "",  # of the family, a file of backbones/; none: its own
    sampler: str = "",  # from noise to images; none: ddim, for families that sample in steps
    sampling_steps: int = 0,  # of the sampler; 0: 20
    rounds: int = 5,  # of each side, in turn
    seconds: float = 1.0,  # about how long a round of one side takes
    policy: precision.Policy = "float32",  # precision of products; PyTorch's flags are set to match
    compiled: bool = False,  # PyTorch's net under torch.compile as well, in each mode that works here
    out: str | None = None,  # FILE.json for the numbers
) -> dict[str, Any]:
    """Median milliseconds for all images, interquartile range, and the ratio: the time of PyTorch's best side over
    ours. No image is made in bf16: that policy is training's."""
    known = signature(find.family(family).__init__).parameters
    usual = {"sampler": "ddim", "sampling_steps": 20} if "sampler" in known else {}
    given = {"net": net, "sampler": sampler, "sampling_steps": sampling_steps}
    asked = usual | {key: x for key, x in given.items() if x}
    if unknown := asked.keys() - known:
        raise UserError(f"{family}: has no {', '.join(sorted(unknown))}. Leave it out, or take ddpm, edm or flow.")
    settings.choices(known, asked)
    on_all_cores()
    with precision.scope(policy), at_precision(policy):
        result = measure(family, contestants(family, count, asked, compiled), rounds, seconds)
    Console(width=130).print(f"{family}: {line(result)}", style="dim")
    what = f"{asked['sampling_steps']} steps of {asked['sampler']}" if usual else "samples"
    Console(width=130).print(drawn([result], count, what, policy))
    if out:
        save(out, {**provenance(), **told(), "count": count, **asked}, [{"precision": policy, **result}])
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
    given = jax.tree.map(lambda x: x.to(device()), pairs.to_torch(family, draws, torch.float32))
    ours = {"jit": partial(timed, lambda: np.asarray(run(state.params, state.stats, draws)))}
    return {
        side: partial(timed, partial(theirs, rival, given)) for side, rival in rivals(twin, compiled).items()
    } | ours


def theirs(twin, draws):
    with needs("torch", "verify").no_grad():
        return twin.sample(draws).cpu().numpy()


def timed(run, rounds):
    """The first call, which compiles, is not counted."""
    first = run()
    begun = time.perf_counter()
    for _ in range(rounds):
        run()
    return (time.perf_counter() - begun) / rounds, [float(np.abs(first).mean())]
