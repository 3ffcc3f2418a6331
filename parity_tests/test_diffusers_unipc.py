"""UniPC: what it is worth. That it is diffusers' own is a case of `test_diffusers.py`."""

import jax.numpy as jnp
import numpy as np
import pytest
from diffusers_side import mixture

from jaxgen.diffusion import samplers, schedules

S, EXACT = 0.5, 0.4999942345669707  # x(0.002) of the ODE from x(80) = 80, for normal data (closed form)


def test_order():
    """Three, the corrector's; nothing corrects the last step, which is short here."""
    denoise = lambda x, node: S**2 * x / (S**2 + node.sigma**2)
    wrong = []
    for steps in (72, 144, 288):
        path = schedules.exploding(schedules.karras(steps))
        wrong.append(abs(samplers.unipc(denoise, jnp.full((1, 1), 80.0), path).item() / EXACT - 1))
    assert wrong[0] == pytest.approx(6.1363e-4, rel=1e-4)
    assert -np.diff(np.log2(wrong)) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("way", ["edm", "cosine"])
def test_at_equal_cost(way):
    """15 looks at a mixture: nearer to the ODE's image than DPM-Solver++(2M), and that than Heun's method."""

    def points(steps):
        if way == "edm":
            return schedules.exploding(np.append(schedules.karras(steps), 0))
        return schedules.discrete(schedules.cosine(), np.delete(schedules.linspace(1000, steps + 1), -2))

    denoise = lambda x, node: mixture(x, node.alpha, node.sigma, jnp)
    start = points(15)[0]
    y = jnp.asarray(np.random.default_rng(0).normal(size=(64, 2, 1))) * start.sigma / start.alpha
    fine = schedules.exploding(np.append(np.geomspace(start.ratio, 1e-5, 2001), 0))
    image = samplers.heun(denoise, y, fine)
    wrong = lambda sampler, steps: jnp.sqrt(((sampler(denoise, y * start.alpha, points(steps)) - image) ** 2).mean())
    unipc, multistep, heun = wrong(samplers.unipc, 15), wrong(samplers.dpmpp_2m, 15), wrong(samplers.heun, 8)
    assert unipc < multistep < heun, (unipc, multistep, heun)


def test_one_and_two_steps_and_no_data_at_the_start():
    """Where there is nothing to correct it is DDIM; an infinite first step, of alpha 0, is a finite table."""
    denoise = lambda x, node: jnp.tanh(x)
    x = jnp.ones((1, 1))
    one = schedules.discrete(schedules.linear(), schedules.trailing(1000, 1))
    assert samplers.unipc(denoise, x, one) == samplers.ddim(denoise, x, one)
    for steps in (1, 2, 5):
        path = schedules.discrete(schedules.zero_terminal(), schedules.trailing(1000, steps))
        assert jnp.isfinite(samplers.unipc(denoise, x, path)).all()
