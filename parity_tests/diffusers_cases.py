"""The cases of `test_diffusers.py`: schedulers of diffusers, their configurations, and our samplers for them."""

from functools import partial
from typing import Any, NamedTuple

import diffusers
import jax.numpy as jnp
import numpy as np

from jaxgen.diffusion import guidance, multistep, ode, samplers, schedules, unipc

STEPS = (10, 100), (30, 50)  # of every other case; 30 does not divide 1000

# Schedules: our table, and the configuration that is to give the same.
LINEAR = schedules.linear(), dict(beta_schedule="linear", beta_start=1e-4, beta_end=0.02)
SCALED = schedules.scaled_linear(), dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
COSINE = schedules.cosine(), dict(beta_schedule="squaredcos_cap_v2")
SIGMOID = schedules.sigmoid(), dict(trained_betas=list(schedules.betas(schedules.sigmoid())))
ZERO = schedules.zero_terminal(), dict(LINEAR[1], rescale_betas_zero_snr=True)
NAMES = {id(LINEAR): "linear", id(SCALED): "scaled linear", id(COSINE): "cosine", id(SIGMOID): "sigmoid"}


class Case(NamedTuple):
    scheduler: Any
    setting: str
    ours: Any  # (look, x, path, noise, frames) -> frames
    path: Any  # steps -> points
    clock: Any  # what the network makes alpha and sigma of
    kind: str
    config: dict
    step: dict = {}  # more arguments of their step
    given: Any = lambda steps: dict(num_inference_steps=steps)
    around: Any = None  # what is done to our denoiser
    steps: tuple = ()

    @property
    def tabled(self):
        """Is it one of those that share their programs?"""
        sampler = getattr(self.ours, "func", self.ours)
        sampler = self.ours.args[0] if sampler is exploded else sampler
        return sampler.__module__ in (multistep.__name__, unipc.__name__)


# Points, as theirs are defined.


def whole(table, spacing, steps):
    """DDPM and DDIM: ours."""
    return schedules.discrete(table, getattr(schedules, spacing)(1000, steps))


def inner(table, spacing, steps, last=-1):
    """DPM-Solver++ and UniPC: one more than is asked for, and the first of all is left out."""
    if spacing == "trailing":
        return whole(table, spacing, steps)
    return schedules.discrete(table, [*getattr(schedules, spacing)(1000, steps + 1)[:-2], last])


def between(table, spacing, steps):
    """Euler and Heun: linspace is not rounded, and between two steps sigma / alpha is linear (ours: its logarithm)."""
    times = (
        np.append(np.linspace(999, 0, steps), -1) if spacing == "linspace" else getattr(schedules, spacing)(1000, steps)
    )
    return of_ratio(times, np.append(np.interp(times[:-1], np.arange(1000), ratios(table)), 0))


def karras(table, spacing, steps, rounded=False):
    """sigma / alpha after Karras et al. (2022), from those of the points of `spacing`, or of the whole table."""
    ends = between(table, spacing, steps).ratio[[-2, 0]] if spacing else ratios(table)[[0, -1]]
    ratio = schedules.karras(steps, *ends)
    times = schedules.time_of(table, ratio)
    return of_ratio(np.append(times.round() if rounded else times, -1), np.append(ratio, 0))


def edm(steps):
    sigma = np.append(schedules.karras(steps), 0)
    with np.errstate(divide="ignore"):
        return schedules.exploding(sigma).replace(time=np.log(sigma) / 4)


def flow(steps, shift=1.0):
    path = schedules.rectified(np.append(schedules.shifted(np.linspace(1, 1e-3, steps), shift), 0))
    return path.replace(time=1000 * path.time)


def ratios(table):
    return np.sqrt(1 / table - 1)


def of_ratio(times, ratio):
    alpha = 1 / np.sqrt(1 + ratio**2)
    return schedules.Node(np.asarray(times, float), alpha, ratio * alpha)


# Samplers of ours that need a word.


def exploded(sampler, look, x, path, noise, frames):
    """Theirs work with x / alpha."""
    out = sampler(look, x * path.alpha[0], path, noise, frames=frames)
    return out / path.alpha.reshape(-1, 1, 1, 1)


def flow_euler(look, x, path, noise, frames):
    return ode.euler(look, x, path, path.sigma, frames)


def flow_heun(look, x, path, noise, frames):
    """Theirs ends with a step of Euler's."""
    most = ode.heun(look, x, path[:-1], path.sigma[:-1], frames - 1)
    return jnp.concatenate([most, ode.euler(look, most[-1], path[-2:], path.sigma[-2:], 2)[1:]])


def table_of_cases():
    yield from ddpm_cases()
    yield from ddim_cases()
    yield from euler_cases()
    yield from dpm_cases()
    yield from edm_cases()
    yield from flow_cases()


def discrete(
    name, ours, points, schedule, spacing, kind="epsilon", words="", around=None, step=None, steps=(), **config
):
    """A scheduler of a table."""
    table, theirs = schedule
    config = {"prediction_type": kind, "timestep_spacing": spacing, **theirs, **config}
    said = ", ".join(filter(None, [NAMES.get(id(schedule), "zero terminal SNR"), spacing, kind, words]))
    angles = np.arctan2(np.sqrt(1 - table), np.sqrt(table))
    path = partial(points, table, spacing)
    return Case(
        getattr(diffusers, name), said, ours, path, angles, kind, config, step or {}, around=around, steps=steps
    )


def ddpm_cases():
    row = partial(discrete, "DDPMScheduler", points=whole)
    small, large = (partial(samplers.ancestral, variance=variance) for variance in ("small", "large"))
    free = dict(clip_sample=False)
    yield row(small, schedule=LINEAR, spacing="leading", words="variance small", **free)
    yield row(small, schedule=COSINE, spacing="linspace", kind="sample", words="variance small", **free)
    yield row(small, schedule=SIGMOID, spacing="leading", kind="v_prediction", words="variance small", **free)
    large_row = partial(row, large, words="variance large", variance_type="fixed_large", **free)
    yield large_row(schedule=LINEAR, spacing="linspace", kind="v_prediction")
    yield large_row(schedule=SCALED, spacing="leading", kind="sample")
    yield row(small, schedule=ZERO, spacing="linspace", kind="v_prediction", words="variance small", **free)
    yield row(small, schedule=LINEAR, spacing="leading", words="clipped", around=guidance.clipped)
    bounded = dict(thresholding=True, dynamic_thresholding_ratio=0.6, sample_max_value=100.0)
    around = partial(guidance.thresholded, quantile=0.6)
    yield row(small, schedule=LINEAR, spacing="leading", words="dynamic thresholds", around=around, **bounded, **free)


def ddim_cases():
    row = partial(discrete, "DDIMScheduler", points=whole)
    for eta, schedule, spacing, kind in (
        (0.0, LINEAR, "leading", "epsilon"),
        (0.5, SCALED, "leading", "sample"),
        (1.0, LINEAR, "leading", "v_prediction"),
        (0.5, COSINE, "leading", "v_prediction"),
    ):
        ours = partial(samplers.ddim, eta=eta)
        yield row(
            ours,
            schedule=schedule,
            spacing=spacing,
            kind=kind,
            words=f"eta {eta:g}",
            step=dict(eta=eta),
            clip_sample=False,
        )
    ours = partial(samplers.ddim, eta=0.0)
    zero = dict(schedule=ZERO, spacing="trailing", kind="v_prediction", clip_sample=False)
    yield row(ours, words="eta 0", steps=STEPS[0], **zero)
    words, step = "eta 0.5, clipped, use_clipped_model_output", dict(eta=0.5, use_clipped_model_output=True)
    ours = partial(samplers.ddim, eta=0.5)
    yield row(ours, schedule=LINEAR, spacing="leading", words=words, around=guidance.clipped, step=step)


def euler_cases():
    for name, sampler in (("EulerDiscreteScheduler", samplers.euler), ("HeunDiscreteScheduler", samplers.heun)):
        row = partial(discrete, name, partial(exploded, sampler))
        yield row(points=between, schedule=LINEAR, spacing="linspace")
        yield row(points=between, schedule=SCALED, spacing="leading", kind="v_prediction")
        yield row(points=between, schedule=LINEAR, spacing="trailing", kind="sample")
        yield row(points=karras, schedule=LINEAR, spacing="linspace", words="Karras sigmas", use_karras_sigmas=True)
    row = partial(discrete, "EulerAncestralDiscreteScheduler", partial(exploded, samplers.ancestral), between)
    yield row(schedule=LINEAR, spacing="leading")
    yield row(schedule=SCALED, spacing="linspace", kind="v_prediction")


def dpm_cases():
    whole_table = lambda table, spacing, steps: karras(table, None, steps, rounded=True)
    ended = partial(inner, last=0)
    for name, ours, words, config in (
        ("DPMSolverMultistepScheduler", samplers.dpmpp_2m, "dpmsolver++", {}),
        (
            "DPMSolverMultistepScheduler",
            samplers.dpmpp_2m_sde,
            "sde-dpmsolver++",
            dict(algorithm_type="sde-dpmsolver++"),
        ),
        ("UniPCMultistepScheduler", samplers.unipc, "bh2", {}),
    ):
        row = partial(discrete, name, ours, **config)
        yield row(points=inner, schedule=LINEAR, spacing="linspace", words=words)
        yield row(points=inner, schedule=COSINE, spacing="leading", kind="v_prediction", words=words)
        yield row(points=inner, schedule=SCALED, spacing="trailing", kind="sample", words=words)
        said = words + ", Karras sigmas"
        yield row(points=whole_table, schedule=LINEAR, spacing="linspace", words=said, use_karras_sigmas=True)
        last = dict(final_sigmas_type="sigma_min", lower_order_final=False)
        yield row(points=ended, schedule=LINEAR, spacing="linspace", words=words + ", to sigma_min", **last)
    row = partial(discrete, "DPMSolverMultistepScheduler", samplers.dpmpp_2m, euler_at_final=True)
    yield row(points=inner, schedule=LINEAR, spacing="linspace", words="dpmsolver++, euler_at_final")


def edm_cases():
    case = partial(Case, path=edm, clock="edm", kind="edm")
    yield case(diffusers.EDMEulerScheduler, "Karras sigmas", samplers.euler, config={}, steps=(10, 30, 50, 100))
    yield case(diffusers.EDMDPMSolverMultistepScheduler, "dpmsolver++", samplers.dpmpp_2m, config={})
    noisy = dict(algorithm_type="sde-dpmsolver++")
    yield case(diffusers.EDMDPMSolverMultistepScheduler, "sde-dpmsolver++", samplers.dpmpp_2m_sde, config=noisy)


def flow_cases():
    case = partial(Case, clock="flow", kind="flow_prediction")
    yield case(diffusers.FlowMatchEulerDiscreteScheduler, "shift 1", flow_euler, flow, config={})
    shifted = partial(flow, shift=3.0)
    sigmas = lambda steps: dict(sigmas=np.linspace(1, 1e-3, steps))
    words = "shift 3, sigmas given"
    yield case(
        diffusers.FlowMatchEulerDiscreteScheduler, words, flow_euler, shifted, config=dict(shift=3.0), given=sigmas
    )
    yield case(diffusers.FlowMatchHeunDiscreteScheduler, "shift 1", flow_heun, flow, config={}, steps=(10, 30, 50, 100))


CASES = {
    f"{case.scheduler.__name__}: {case.setting}": case if case.steps else case._replace(steps=STEPS[i % 2])
    for i, case in enumerate(table_of_cases())
}
