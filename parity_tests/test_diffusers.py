"""Our samplers are the schedulers of diffusers, step by step, for the same network and the same noise.

Each case runs theirs twice: with float64 in place of every float32 of theirs, where the formulas must agree, and as it
is shipped, where the difference is their own precision. Where the two sides differ by more than precision, see
`test_diffusers_differences.py`. The page of the results:

    python parity_tests/test_diffusers.py > docs/samplers.md"""

from functools import lru_cache, partial
from operator import getitem
from pathlib import Path

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffusers_cases import CASES, LINEAR, whole
from diffusers_side import at, mixture, network, told, trajectory
from jax.tree_util import Partial
from test_diffusers_differences import rows

from jaxgen.diffusion import multistep, prediction, samplers, unipc
from jaxgen.parity.pairs import QUICK

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
OURS = {"epsilon": "epsilon", "sample": "x0", "v_prediction": "v"}


@lru_cache
def looking(kind, clock, around):
    """What our samplers ask; one function for each kind, so that programs are found again."""

    def net(angles, x, node):
        alpha, sigma = at(angles if clock is None else clock, node.time, jnp)
        x_0 = mixture(x, alpha, sigma, jnp)
        if kind == "edm":
            return x_0
        said = told(kind, x_0, x, alpha, sigma)
        return prediction.to_x0(OURS[kind], said, x, node.alpha, node.sigma) if kind in OURS else said

    return net if around is None else lambda angles, x, node: around(partial(net, angles))(x, node)


def compiled(run):
    """The loop of a table, the table being an argument: one program for all tables of a length."""
    quick = jax.jit(run, static_argnames="frames", compiler_options=QUICK)

    def same(tables, look, x, path, *rest):
        *noise, frames = rest
        noise = [z or Partial(getitem, jnp.zeros((len(path.time) - 1, *x.shape))) for z in noise]
        return quick(tables, look, x, path, *noise, frames)

    return same


RUN, RUN_UNIPC = compiled(multistep.run), compiled(unipc.run)


def ours(case, steps, x, noise):
    named = isinstance(case.clock, str)
    look = looking(case.kind, case.clock if named else None, case.around)
    look = Partial(look, None if named else jnp.asarray(case.clock))
    noise = Partial(getitem, jnp.asarray(noise))
    run = lambda x: case.ours(look, x, case.path(steps), noise, frames=steps + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multistep, "run", RUN)
        patch.setattr(unipc, "run", RUN_UNIPC)
        return np.asarray((run if case.tabled else jax.jit(run, compiler_options=QUICK))(jnp.asarray(x)))


def difference(case):
    """The largest of any step, as a part of x (of 1 where x is small): with float64 for float32, and as shipped."""
    worst = {True: 0.0, False: 0.0}
    for steps in case.steps:
        rng = np.random.default_rng(steps)
        x, noise = rng.normal(size=(4, 2, 1)), rng.normal(size=(steps, 4, 2, 1))
        x = x * (80 if case.kind == "edm" else 1)
        mine = ours(case, steps, x, noise)
        scale = np.maximum(1, abs(mine).max((1, 2, 3)))
        for double in worst:
            net = network(case.kind, case.clock)
            them = trajectory(case.scheduler, case.config, case.given(steps), net, x, noise, double, **case.step)
            worst[double] = max(worst[double], (abs(mine - them).max((1, 2, 3)) / scale).max())
    return worst[True], worst[False]


# one of three at every change, all in the marked suite
FEW = [name if i % 3 == 0 else pytest.param(name, marks=pytest.mark.slow) for i, name in enumerate(CASES)]


@pytest.mark.parametrize("name", FEW)
def test_equal(name):
    """To 1e-11 with float64 for their float32; to 2e-4 as shipped, which is their own precision: the same run with
    their tables in float64 is the former."""
    exact, shipped = difference(CASES[name])
    assert exact < 1e-11 and shipped < 2e-4, (exact, shipped)


def test_a_fault_is_seen():
    """Another eta, another variance, the point before."""
    ddpm, ddim = (next(case for name, case in CASES.items() if name.startswith(start)) for start in ("DDPM", "DDIM"))
    for case in (
        ddim._replace(ours=partial(samplers.ddim, eta=0.1)),
        ddpm._replace(ours=partial(samplers.ancestral, variance="large")),
        ddim._replace(path=lambda steps: whole(LINEAR[0], "linspace", steps)),
    ):
        assert difference(case._replace(steps=(10,)))[0] > 1e-3


# The page.

TITLE = """# Samplers beside diffusers

Made by `python parity_tests/test_diffusers.py > docs/samplers.md`, with diffusers {version}.

Each row is a scheduler of diffusers (PyTorch), built from its configuration, and the sampler of `jaxgen.diffusion` that
is to be the same. Both get the same start, the same noise, and the same network: the exact one for a mixture of three
Gaussians. The number is the largest difference of any step, relative to x (or to 1, where x is smaller).

diffusers keeps its tables in float32, and some of its steps too. "float64" is the difference when each float32 of a
scheduler is replaced with float64: the formulas are the same. "as shipped" is the difference from the scheduler as it
is: this is the precision of diffusers, ours is float64 here.

| scheduler | setting | steps | float64 | as shipped |
|---|---|---|---|---|
"""
DIFFERENCES = """
## Where they differ

Without other words: the standard deviation of the images, for data of standard deviation 0.5 and the exact network.
"exact" is that of the data, or of the exact solution where the sampler does not end at the data.

| what | diffusers | jaxgen | exact | who is right |
|---|---|---|---|---|
"""


def page():
    lines = [TITLE.format(version=diffusers.__version__)]
    for case in CASES.values():
        cells = case.scheduler.__name__, case.setting, ", ".join(map(str, case.steps))
        lines.append(line(*cells, *(f"{number:.0e}" for number in difference(case))))
    return "".join([*lines, DIFFERENCES, *(line(*cells) for cells in rows())])


def line(*cells):
    return "| " + " | ".join(cells) + " |\n"


def test_the_page():
    """Its settings, names and text; its numbers are of the day."""
    known = (Path(__file__).parent.parent / "docs" / "samplers.md").read_text()
    for case in CASES.values():
        assert line(case.scheduler.__name__, case.setting, ", ".join(map(str, case.steps)))[:-1] in known
    assert known.count("Scheduler |") == len(CASES)
    assert DIFFERENCES + "".join(line(*cells) for cells in rows()) in known


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore")
    with jax.enable_x64(True):
        print(page(), end="")
