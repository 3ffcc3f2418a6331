"""What is done to a denoiser, to images and to a loss: each against what it must be on normal data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxgen import noise
from jaxgen.diffusion import editing, guidance, prediction, samplers, schedules, weighting
from jaxgen.errors import UserError
from jaxgen.families import ddpm, edm, flow
from jaxgen.functional import Functional
from jaxgen.oracle import Gaussian
from torch_ref.diffusion import guidance as torch_guidance
from torch_ref.diffusion import schedules as torch_schedules

DATA = Gaussian(0.3, 0.5)
PATH = schedules.discrete(schedules.linear(), schedules.trailing(1000, 50))
SHAPE = (5, 4, 4, 1)


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape or SHAPE))


def steps(seed, shape=SHAPE):
    z = normal(seed, len(PATH.time), *shape)
    return lambda i: z[i]


KINDS = ["epsilon", "x0", "v", "score", "velocity"]


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_a_prediction_is_told_by_any_other(source, to):
    x_0, epsilon = normal(0), normal(1)
    for alpha, sigma in ((0.6, 0.8), (1.0, 7.0), (0.3, 0.7)):  # variance preserved, exploding, a straight way
        x = alpha * x_0 + sigma * epsilon
        told, want = (prediction.target(kind, x_0, epsilon, alpha, sigma) for kind in (source, to))
        np.testing.assert_allclose(prediction.convert(told, x, alpha, sigma, source, to), want, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_in_units_of_the_data(kind):
    """The weighted error of any prediction is min(SNR, 5) times that of x_0."""
    x, alpha, sigma = normal(0), jnp.asarray(0.9), jnp.asarray(0.3)
    told, moved = normal(1), 1e-3 * normal(2)
    back = lambda told: prediction.to_x0(kind, told, x, alpha, sigma)
    error = (weighting.weight("min_snr", kind, alpha, sigma) * moved**2).sum()
    np.testing.assert_allclose(error, 5 * ((back(told + moved) - back(told)) ** 2).sum(), rtol=1e-9)
    assert weighting.weight("uniform", kind, alpha, sigma) == 1


def test_guidance():
    """Scale 1 is no guidance, 0 is the other denoiser; outside of the interval there is none."""
    strong, weak = DATA.denoise, Gaussian(-1.0, 0.9).denoise
    x, node = normal(0), PATH[20]
    for scale, want in ((1.0, strong(x, node)), (0.0, weak(x, node)), (3.0, 3 * strong(x, node) - 2 * weak(x, node))):
        np.testing.assert_allclose(guidance.guided(strong, weak, scale)(x, node), want, atol=1e-12)
    far = guidance.guided(strong, weak, 3.0, low=float(node.ratio))
    np.testing.assert_array_equal(far(x, node), strong(x, node))


def test_guidance_is_at_work_also_where_nothing_but_noise_is_left():
    """alpha is 0 at the start of a rectified flow and of a schedule of zero terminal SNR."""
    strong, weak = lambda x, node: 2 * x, lambda x, node: x
    x, node = normal(0), jax.tree.map(jnp.asarray, schedules.rectified(np.array([1.0, 0.5, 0.0]))[0])
    assert node.alpha == 0
    np.testing.assert_allclose(guidance.guided(strong, weak, 3.0)(x, node), 4 * x)
    np.testing.assert_allclose(guidance.guided(strong, weak, 3.0, high=10.0)(x, node), 2 * x)


def test_bounds_are_those_of_the_twin():
    far = lambda x, node: 3 * x
    x, told = normal(0), torch.from_numpy(np.array(normal(0)))
    for name in ("clipped", "thresholded"):
        have, want = (getattr(side, name)(far) for side in (guidance, torch_guidance))
        np.testing.assert_allclose(have(x, PATH[3]), want(told, None), atol=1e-12)
        assert np.abs(have(x, PATH[3])).max() <= 1
    with pytest.raises(UserError, match="quantile: expected more than 0"):
        guidance.thresholded(far, 0.0)


def test_inpainting_keeps_what_is_known():
    """And the known part is, on the way, the image with as much noise as there is: its deviation is sigma."""
    known, mask = normal(3, 2000, 1), jnp.ones((2000, 1))
    denoise = guidance.inpainted(DATA.denoise, known, mask)
    way = samplers.ancestral(denoise, normal(4, 2000, 1), PATH, steps(5, (2000, 1)), frames=len(PATH.time))
    np.testing.assert_allclose(way[-1], known, atol=1e-12)
    at = 30
    rest = way[at] - PATH.alpha[at] * known
    assert abs(float(rest.std()) / PATH.sigma[at] - 1) < 0.05 and abs(float(rest.mean())) < 0.05 * PATH.sigma[at] * 3
    half = jnp.arange(4)[:, None] < 2
    made = samplers.ddim(guidance.inpainted(DATA.denoise, normal(3), half[..., None]), normal(4), PATH)
    np.testing.assert_allclose(made[:, :2], normal(3)[:, :2], atol=1e-12)


def test_images_begun_in_the_middle():
    image = normal(0)
    x, rest = editing.begun(image, normal(1), PATH, 0.4)
    assert len(rest.time) == 21
    np.testing.assert_allclose(x, rest.alpha[0] * image + rest.sigma[0] * normal(1))
    with pytest.raises(UserError, match="strength: expected more than 0"):
        editing.begun(image, normal(1), PATH, 0.0)


def test_an_image_is_turned_into_its_noise_and_back():
    fine = schedules.discrete(schedules.linear(), schedules.linspace(1000, 1000))
    image = DATA.sample(jax.random.key(0), 64)
    latent = editing.inverted(DATA.denoise, image, fine)
    assert abs(float(latent.mean())) < 0.2 and abs(float(latent.std()) - 1) < 0.2
    np.testing.assert_allclose(samplers.ddim(DATA.denoise, latent, fine), image, atol=0.01)


def test_between_two_noises():
    a, b = normal(0, 3, 5000), normal(1, 3, 5000)
    np.testing.assert_allclose(editing.slerp(a, b, 0.0), a, atol=1e-12)
    np.testing.assert_allclose(editing.slerp(a, b, 1.0), b, atol=1e-12)
    assert abs(float(editing.slerp(a, b, 0.5).std()) - 1) < 0.03 and float(((a + b) / 2).std()) < 0.75
    np.testing.assert_allclose(editing.slerp(a, a, 0.3), a, atol=1e-12)


TABLES = ["linear", "scaled_linear", "cosine", "sigmoid", "variance_preserving", "zero_terminal", "document_000",
          "document_004"]  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_schedules_are_those_of_the_twin(name):
    have, want = (getattr(side, name)() for side in (schedules, torch_schedules))
    assert have.dtype == np.float64 and (np.diff(have) < 0).all() and 0 <= have.min() and have.max() < 1
    np.testing.assert_allclose(have, want, atol=1e-12)


def test_no_schedule_is_narrow():
    """Whatever the images are in, numbers of a schedule are float32 at least."""
    for dtype, want in ((jnp.bfloat16, "float32"), (jnp.float16, "float32"), (float, "float64")):
        seen = schedules.at_least_single(PATH, normal(0).astype(dtype))
        assert {x.dtype.name for x in jax.tree.leaves(seen)} == {want}


REFUSED = {
    "sampling steps: expected 1 to 1000": lambda: schedules.leading(1000, 1001),
    "times: expected -1 to 999, got 0 to 1000": lambda: schedules.discrete(schedules.linear(), [1000, 0]),
    "eta: expected 0 to 1, got 1.5": lambda: samplers.ddim(DATA.denoise, normal(0), PATH, eta=1.5),
    "variance: expected small or large": lambda: samplers.ancestral(DATA.denoise, normal(0), PATH, None, "medium"),
    "this sampler adds noise: give `noise`": lambda: samplers.ancestral(DATA.denoise, normal(0), PATH, None),
    "churn: the points": lambda: samplers.heun(DATA.denoise, normal(0), PATH, churn=1.0),
    "a point before the last has sigma 0": lambda: samplers.ddim(DATA.denoise, normal(0), PATH[::-1]),
    "eta 0.5: on the way to more noise": lambda: samplers.ddim(DATA.denoise, normal(0), PATH[:-1][::-1], eta=0.5),
    "frames: expected 2 to 51": lambda: samplers.ddim(DATA.denoise, normal(0), PATH, frames=52),
    "there is no condition to guide by": lambda: ddpm.Family(guidance=2.0),
    "eta: expected 0 to 1, got 2.0": lambda: edm.Family(eta=2.0),
    "hidden: expected 0 to 1, got -0.1": lambda: flow.Family(hidden=-0.1),
    "timesteps: expected at least 1, got 0": lambda: ddpm.Family(timesteps=0),
    "churn: expected 0 or more, got -1.0": lambda: edm.Family(churn=-1.0),
    "shift: expected more than 0, got 0.0": lambda: flow.Family(shift=0.0),
    "nothing of the data is left": lambda: ddpm.Family(beta_schedule="zero_terminal"),
    "documented: it knows no classes=10": lambda: ddpm.Family(classes=10),
    "width that is a multiple of 8": lambda: ddpm.Family(width=12),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_is_refused_by_name(message):
    with pytest.raises(UserError, match=message):
        REFUSED[message]()


@pytest.mark.parametrize("sampler", samplers.__all__)
def test_one_program_whatever_is_sampled(sampler):
    """The network is traced at most four times, however many steps there are; the second call compiles nothing."""
    looks, path = [], PATH
    if sampler == "rk4":
        path = schedules.halved(PATH, lambda ratio: schedules.discrete(schedules.linear(), 0 * ratio))

    def denoise(x, node):
        looks.append(1)
        return DATA.denoise(x, node)

    run = jax.jit(lambda x: getattr(samplers, sampler)(denoise, x, path, lambda i: x))
    run(normal(0))
    traced = len(looks)
    run(normal(1))
    assert len(looks) == traced <= 6 and run._cache_size() == 1


def test_noise_made_of_keys_is_that_of_arrays():
    """In the whole sampler of a family, and image by image."""
    family = Functional(ddpm.Family(**ddpm.Family.small))
    draws = family.draw_sample(jax.random.key(1), 3)
    made, written = noise.of_step(draws["steps"], (8, 8, 1)), family.written(draws)["steps"]
    assert draws["steps"].dtype == np.uint32 and written.shape == (3, 12, 8, 8, 1)
    for i in range(12):
        np.testing.assert_array_equal(made(i), noise.of_step(written, (8, 8, 1))(i))
    assert abs(float(written.std()) - 1) < 0.05
    flat = written.reshape(36, -1)
    assert (np.abs(np.corrcoef(flat)) - np.eye(36) < 0.6).all(), "no two steps and no two images share their noise"


def test_a_thousand_steps_take_the_memory_of_ten():
    """Also with noise, which is made of a key an image; with frames it is theirs."""

    def memory(count, frames=0):
        path = schedules.discrete(schedules.linear(), schedules.trailing(1000, count))
        keys = noise.keys(jax.random.key(0), 4)
        run = lambda x, keys: samplers.ancestral(DATA.denoise, x, path, noise.of_step(keys, SHAPE[1:]), frames=frames)
        x = jnp.zeros((4, *SHAPE[1:]))
        told = jax.jit(run).lower(x, keys).compile().memory_analysis()
        return told.temp_size_in_bytes + told.output_size_in_bytes

    few, many, image = memory(10), memory(1000), 4 * 16 * 8
    tables = 5 * 1000 * 8  # the coefficients of the steps
    assert many - few <= tables
    assert memory(1000, frames=500) - many >= 490 * image
