"""Norms in float32, far from zero, where a careless variance is wrong by its own size."""

import jax
import numpy as np
import pytest
import torch
from layer_pairs import first, last, loaded, mine, randomised, theirs

from jaxgen import weights

NORMS = [
    ("BatchNorm1d(16)", (64, 16)),
    ("BatchNorm1d(16)", (8, 16, 20)),
    ("BatchNorm2d(8)", (16, 8, 6, 5)),
    ("GroupNorm(4, 16)", (4, 16, 8, 8)),
    ("GroupNorm(1, 64)", (8, 64)),
    ("LayerNorm(64)", (8, 10, 64)),
    ("LayerNorm((4, 8, 8))", (8, 4, 8, 8)),
    ("InstanceNorm2d(8)", (4, 8, 9, 8)),
    ("InstanceNorm2d(8, affine=True)", (4, 8, 9, 8)),
]


@pytest.mark.parametrize("case", NORMS, ids=lambda case: f"{case[0]} {case[1]}")
def test_float32_far_from_zero(case):
    compare_float32(*case)


def compare_float32(text, shape):
    """At mean 1000 and deviation 1, errors from the float64 truth are at most four times torch's own."""
    for name, (ours, torchs, scale) in errors(text, shape).items():
        assert ours <= 4 * torchs + 4 * 2**-24 * scale, name


def test_a_group_norm_keeps_its_digits():
    compare_digits("GroupNorm(4, 16)", (4, 16, 8, 8))


def compare_digits(text, shape):
    """What is measured from a group's own first value loses nothing by being far from zero, as torch's does."""
    ours, torchs, _ = errors(text, shape)["y"]
    assert 20 * ours <= torchs


def errors(text, shape):
    """{array: ours and torch's root mean square beside the float64 truth, and its largest value}."""
    random = np.random.default_rng(0)
    x, probe = (random.normal(mean, 1, shape).astype(np.float32) for mean in (1000, 0))
    state_dict = {
        k: randomised(k, v.numpy(), random).astype(v.numpy().dtype) for k, v in theirs(text).state_dict().items()
    }
    truth, want = (found_there(text, state_dict, x, probe, dtype) for dtype in (torch.float64, torch.float32))
    have, off = found_here(text, state_dict, x, probe), lambda y, true: np.sqrt(np.mean((y - true) ** 2))
    assert all(y.dtype == np.float32 for y in have.values())
    return {k: (off(y, truth[k]), off(want[k], truth[k]), np.abs(truth[k]).max()) for k, y in have.items()}


def found_there(text, state_dict, x, probe, dtype):
    layer = theirs(text)
    layer.load_state_dict({key: torch.from_numpy(value) for key, value in state_dict.items()})
    x = torch.from_numpy(x).to(dtype).requires_grad_()
    y = layer.to(dtype)(x)
    slope = torch.autograd.grad((torch.from_numpy(probe) * y).sum(), x)[0]
    moved = {key: value for key, value in layer.named_buffers() if value.ndim}
    return {key: value.detach().numpy() for key, value in {"y": y, "by x": slope, **moved}.items()}


def found_here(text, state_dict, x, probe):
    layer = mine(text)
    params, stats = loaded(layer, state_dict, np.float32)

    @jax.jit
    def run(x):
        y, back, moved = jax.vjp(lambda x: layer.apply(params, stats, x), x, has_aux=True)
        return {"y": first(text, y), "by x": first(text, back(last(text, probe))[0])}, moved

    found, moved = run(last(text, x))
    return {**found, **{key: value for key, value in weights.to_state_dict({}, moved).items() if value.ndim}}
