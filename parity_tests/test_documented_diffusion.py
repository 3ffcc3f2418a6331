"""The samplers of document 002, mended, on the bare net: those of the family give the same images."""

import jax
import numpy as np
import pytest

from jaxgen import find, parity
from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.parity.pairs import tensor
from torch_ref.diffusion.process import AcceleratedDiffusion, DiffusionProcess

COUNT, STEPS = 2, 5


@pytest.fixture(scope="module")
def start():
    """Weights in which nothing is zero, and a twin that has them, in float64."""
    with jax.enable_x64(True):
        family, twin = case().build()
        state = pairs.start(family, family.optimizers(), twin)
        pairs.give(twin, state.params, state.stats)
    return (state.params, state.stats), twin


def case(**more):
    cls = find.family("ddpm")
    return parity.Case("ddpm", cls.small | more, cls, find.twin("ddpm"))


def images(net, **more):
    """-> the family's, and what they are made of, for torch."""
    family = Functional(case(**more).ours(**case(**more).arguments))
    draws = pairs.sample_draws(family, jax.random.key(3), COUNT)
    made = pairs.quick(lambda draws: family.sample(*net, draws))(draws)
    return np.moveaxis(np.asarray(made), -1, 1), pairs.to_torch(family, draws)


def same(have, want):
    np.testing.assert_allclose(have, want.numpy(), rtol=0, atol=1e-9 * want.abs().max().item())
    assert want.isfinite().all() and want.std() > 0.01


def test_ancestral_sampling_is_the_documented_loop(start):
    net, twin = start
    have, draws = images(net)
    frames = DiffusionProcess(12).p_sample_loop(twin.net, draws["start"], lambda i: draws["steps"][:, i])
    same(have, frames[-1])
    assert len(frames) == 12


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_is_the_documented_accelerated_sampling(start, eta):
    net, twin = start
    have, draws = images(net, sampler="ddim", spacing="documented", sampling_steps=STEPS, eta=eta)
    noise = (lambda i: draws["steps"][:, i]) if eta else lambda i: 0.0
    same(have, AcceleratedDiffusion(12, STEPS).ddim_sample(twin.net, draws["start"], noise, eta))


def test_over_all_steps_eta_1_is_ancestral_sampling(start):
    """Two printed loops, one law, when both are mended."""
    _, twin = start
    _, draws = images(start[0], sampler="ddim", spacing="documented", eta=1.0)
    noise = lambda i: draws["steps"][:, i]
    want = DiffusionProcess(12).p_sample_loop(twin.net, draws["start"], noise)[-1]
    same(AcceleratedDiffusion(12, 12).ddim_sample(twin.net, draws["start"], noise, 1.0).numpy(), want)


FAULTS = {  # what is planted in the printed process, and how
    "beta for the posterior's variance": lambda process: setattr(process, "posterior_variance", process.betas),
    "the variance of a step later": lambda process: setattr(
        process, "posterior_variance", process.posterior_variance.roll(-1)
    ),
    "alpha-bar of a step before": lambda process: setattr(process, "alphas_cumprod", process.alphas_cumprod_prev),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_noticed(start, fault):
    _, twin = start
    rng = np.random.default_rng(0)
    noise = [tensor(rng.normal(size=(COUNT, 1, 8, 8))) for _ in range(13)]
    right, faulty = DiffusionProcess(12), DiffusionProcess(12)
    FAULTS[fault](faulty)
    faulty.alphas_cumprod[0] = right.alphas_cumprod[0]  # nothing divides by zero
    want, have = (process.p_sample_loop(twin.net, noise[12], noise.__getitem__)[-1] for process in (right, faulty))
    with pytest.raises(AssertionError):
        same(have.numpy(), want)
