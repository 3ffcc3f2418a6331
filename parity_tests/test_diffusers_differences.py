"""Where diffusers and jaxgen differ by more than precision: both numbers, and the exact one.

Data are normal with standard deviation s = 0.5 (or as told). The exact network is linear then, so is every step, and
the standard deviation of the image follows from what becomes of x = 1 and of each noise = 1: nothing is drawn."""

import math
from typing import NamedTuple

import diffusers
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers_cases import COSINE, LINEAR, ZERO, between, edm, flow, inner, karras, whole
from diffusers_side import at, told, trajectory

from jaxgen.diffusion import guidance, samplers, schedules

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.slow,
]
S = 0.5
ANGLES = np.arctan2(np.sqrt(1 - LINEAR[0]), np.sqrt(LINEAR[0]))


class Numbers(NamedTuple):
    """A standard deviation: theirs, ours, and the data's or the exact solution's."""

    theirs: float
    ours: float
    exact: float = S


def mean_of(x, alpha, sigma, s=S):
    return x * alpha * s**2 / (alpha**2 * s**2 + sigma**2)


def unit(steps):
    """-> x, noise: image 0 starts at 1, image i + 1 has the noise of step i alone."""
    x, noise = np.zeros((steps + 1, 1)), np.zeros((steps, steps + 1, 1))
    x[0], noise[range(steps), range(1, steps + 1)] = 1, 1
    return x, noise


def theirs(name, steps, kind="epsilon", clock=ANGLES, config=None, start=1.0, s=S, frame=-1, **step):
    def net(x, t):
        x, (alpha, sigma) = x.numpy(), at(clock, t.double().numpy(), np)
        x = x * (sigma**2 + 0.25) ** 0.5 if kind == "edm" else x
        return torch.from_numpy(told(kind, mean_of(x, alpha, sigma, s), x, alpha, sigma))

    x, noise = unit(steps)
    points, name = dict(num_inference_steps=steps), getattr(diffusers, name)
    frames = trajectory(name, config or {}, points, net, start * x, noise, **step)
    return float(np.sqrt((frames[frame] ** 2).sum()))


def ours(sampler, path, start=1.0, s=S, frame=-1, **options):
    x, noise = unit(len(path.time) - 1)
    see = lambda x, node: mean_of(x, node.alpha, node.sigma, s)
    draw, noise = lambda i: noise[i], jnp.asarray(noise)
    frames = sampler(see, jnp.asarray(start * x), path, noise=draw, frames=len(path.time), **options)
    return float(jnp.sqrt((frames[frame] ** 2).sum()))


def exact(path):
    """The probability-flow ODE multiplies by the ratio of the marginal deviations."""
    deviation = np.sqrt(path.alpha**2 * S**2 + path.sigma**2)
    return deviation[-1] / deviation[0]


def ddim_linspace():
    """DDIM, linspace, 10 steps: their step goes to t - 1000 // steps, and the next look is at another point (diffusers
    issue 11347). Data of one point: noise at the last look, as a multiple of what the network is told."""
    return last_look("linspace", 10)


def ddim_trailing():
    """DDIM, trailing, 30 steps: the same where the steps do not divide 1000 (diffusers issue 9261)."""
    return last_look("trailing", 30)


def last_look(spacing, steps):
    path, config = whole(LINEAR[0], spacing, steps), dict(timestep_spacing=spacing, clip_sample=False)
    unit = dict(start=path.sigma[0], s=0.0, frame=-2)
    both = theirs("DDIMScheduler", steps, config=config, **unit), ours(samplers.ddim, path, **unit)
    return Numbers(*(value / path.sigma[-2] for value in both), 1.0)


def ddpm_last_noise():
    """DDPM, trailing, variance large: their last step adds noise to the image, as its time is not 0."""
    config = dict(timestep_spacing="trailing", clip_sample=False, variance_type="fixed_large")
    path = whole(LINEAR[0], "trailing", 10)
    return Numbers(theirs("DDPMScheduler", 10, config=config), ours(samplers.ancestral, path, variance="large"))


def churn():
    """Euler, EDM, churn 10 in 18 steps, s = 1: theirs asks the network before the noise is added to x, ours after
    (Karras et al., 2022, algorithm 2)."""
    step = dict(start=80.0, s=1.0)
    mine = ours(samplers.euler, edm_of_sigma(18), churn=10.0, **step)
    return Numbers(theirs("EDMEulerScheduler", 18, "edm", "edm", s_churn=10.0, **step), mine, 1.0)


def edm_of_sigma(steps):
    return schedules.exploding(edm(steps).sigma)


def zero_terminal():
    """DPM-Solver++ 2M, zero terminal SNR: they put alpha-bar to 2^-24 where it is 0, as they divide by it."""
    config = dict(ZERO[1], timestep_spacing="trailing", prediction_type="v_prediction")
    angles = np.arctan2(np.sqrt(1 - ZERO[0]), np.sqrt(ZERO[0]))
    mine = ours(samplers.dpmpp_2m, whole(ZERO[0], "trailing", 10))
    return Numbers(theirs("DPMSolverMultistepScheduler", 10, "v_prediction", angles, config=config), mine, math.nan)


def lower_order_final():
    """DPM-Solver++ 2M to sigma_min in less than 15 steps: their last step is of first order, ours of second."""
    path = inner(LINEAR[0], "linspace", 10, last=0)
    config = dict(final_sigmas_type="sigma_min")
    return Numbers(theirs("DPMSolverMultistepScheduler", 10, config=config), ours(samplers.dpmpp_2m, path), exact(path))


def rounded_times():
    """DPM-Solver++ 2M, Karras sigmas: they round the time that the network is told; right for one that was trained on
    whole steps only, and wrong for the exact one."""
    path = karras(LINEAR[0], None, 20)
    config = dict(use_karras_sigmas=True)
    return Numbers(theirs("DPMSolverMultistepScheduler", 20, config=config), ours(samplers.dpmpp_2m, path), exact(path))


def shifted_twice():
    """Flow matching, shift 3, 10 steps, the last time but 0: theirs shifts it twice (diffusers issue 13243), unless the
    sigmas are given."""
    made = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    made.set_timesteps(10)
    return Numbers(float(made.sigmas[-2]), float(flow(10, 3.0).sigma[-2]), 3e-3 / 1.002)


def between_steps():
    """Euler, linspace, 50 steps: between two steps of the table theirs takes sigma / alpha for linear, ours its
    logarithm. sigma / alpha of the last point but one (time 20.4)."""
    table = LINEAR[0]
    apart = schedules.discrete(table, np.append(np.linspace(999, 0, 50), -1))
    path = between(table, "linspace", 50)
    return Numbers(path.ratio[-3], apart.ratio[-3], math.nan)


def eta_one_clipped():
    """DDIM of eta 1 is DDPM, also with x_0 clipped: theirs keeps the epsilon of the x_0 that was not clipped, unless
    use_clipped_model_output is set. Largest difference from DDPM, 10 steps of the cosine schedule."""
    path, config = whole(COSINE[0], "leading", 10), dict(COSINE[1], prediction_type="sample")
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(8, 1)), rng.normal(size=(10, 8, 1))
    net, see = lambda x, t: 2 * torch.sin(2 * x), guidance.clipped(lambda x, node: 2 * jnp.sin(2 * x))
    run = lambda name, **step: trajectory(name, config, dict(num_inference_steps=10), net, x, noise, **step)
    first, draw = jnp.asarray(x), lambda i: jnp.asarray(noise)[i]
    mine = samplers.ddim(see, first, path, draw, 1.0, 11) - samplers.ancestral(see, first, path, draw, frames=11)
    apart = run(diffusers.DDIMScheduler, eta=1.0) - run(diffusers.DDPMScheduler)
    return Numbers(abs(apart).max(), float(abs(mine).max()), 0.0)


def sigmoid():
    """DDPM, "sigmoid": theirs has betas on a sigmoid between 1e-4 and 0.02, ours is alpha-bar of Jabri et al. (2023).
    Another schedule of the same name; alpha-bar of step 500."""
    made = diffusers.DDPMScheduler(beta_schedule="sigmoid")
    return Numbers(float(made.alphas_cumprod[500]), schedules.sigmoid()[500], math.nan)


# who is right: where it is ours or theirs, the number is the nearer one
WHO = {
    ddim_linspace: "ours",
    ddim_trailing: "ours",
    eta_one_clipped: "ours",
    ddpm_last_noise: "ours",
    churn: "ours",
    shifted_twice: "ours",
    rounded_times: "ours",
    lower_order_final: "theirs",
    zero_terminal: "ours is the limit",
    between_steps: "a definition",
    sigmoid: "a definition",
}
# theirs, ours
RECORDED = {
    ddim_linspace: (5.805969, 1),
    ddim_trailing: (1.039797, 1),
    eta_one_clipped: (2, 0),
    ddpm_last_noise: (0.5889991, 0.4939009),
    churn: (0.7023043, 0.788923),
    shifted_twice: (0.008928572, 0.002994012),
    rounded_times: (0.5259539, 0.5254637),
    lower_order_final: (0.4089688, 0.6911788),
    zero_terminal: (0.4041239, 0.4041195),
    between_steps: (0.08064709, 0.08063191),
    sigmoid: (0.2988876, 0.4983428),
}


@pytest.mark.parametrize("case", WHO, ids=lambda case: case.__name__)
def test_a_difference(case):
    numbers = case()
    assert (numbers.theirs, numbers.ours) == pytest.approx(RECORDED[case], rel=1e-5, abs=1e-9)
    far = [abs(number - numbers.exact) for number in numbers[:2]]
    if WHO[case] in ("ours", "theirs"):
        assert (far[0] < far[1]) == (WHO[case] == "theirs")


def rows():
    """For the page."""
    for case, who in WHO.items():
        known = "" if math.isnan(right := case().exact) else f"{right:.4g}"
        yield " ".join(case.__doc__.split()), *(f"{number:.4g}" for number in RECORDED[case]), known, who


def test_noise_of_the_last_step():
    """DDPM, trailing, variance small: what theirs adds to the image is 1e-10, the least that its variance may be."""
    config = dict(timestep_spacing="trailing", clip_sample=False)
    net = lambda x, t: torch.zeros_like(x)
    x, noise = np.zeros((1, 1)), np.zeros((10, 1, 1))
    noise[-1] = 1
    frames = trajectory(diffusers.DDPMScheduler, config, dict(num_inference_steps=10), net, x, noise)
    assert frames[-1] == pytest.approx(1e-10)
