"""Every loss against torch.nn.functional in float64: values, gradients by both arguments, second derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from layer_pairs import QUICK, assert_same, titled

from jaxgen import nn


def pairs(xs, targets):
    """Each of `xs` against each of `targets`."""
    return [np.array(x).ravel() for x in np.meshgrid(xs, targets)]


# A gradient at the ends is up to 1e12: sizes stand apart, so that each is measured by its own.
ENDS = pairs([0.0, 1.0], [0.0, 1.0, 0.3])
NEAR = pairs([1e-13, 1 - 1e-13, 1e-50], [0.0, 1.0, 0.3])
INSIDE = pairs([0.01, 0.3, 0.5, 0.8, 0.99], [0.0, 1.0, 0.25, 0.5, 0.8])
LOGITS = pairs([0.0, -0.0, 1e-8, 0.5, -1.0, 3.0], [0.0, 1.0, 0.3])
FAR_LOGITS = pairs([20.0, -20.0, 40.0, -40.0, 200.0, -200.0], [0.0, 1.0, 0.3])
KINKS = pairs([0.0, 0.1, 0.25, -0.25, 1.0, -1.0, 0.5, 2.0, -3.0], [0.0, 0.25, -1.0])
FAR = pairs([30.0, -30.0, 0.0], [0.0, 30.0])

CASES = [
    ("binary_cross_entropy", ENDS, {}, 1),
    ("binary_cross_entropy", NEAR, {}, 1),
    ("binary_cross_entropy", INSIDE, {}, 2),
    ("binary_cross_entropy_with_logits", LOGITS, {}, 2),
    ("binary_cross_entropy_with_logits", FAR_LOGITS, {}, 2),
    *[(name, values, {}, 2) for name in ("mse_loss", "l1_loss", "smooth_l1_loss") for values in (KINKS, FAR)],
    *[("smooth_l1_loss", KINKS, {"beta": beta}, 2) for beta in (0, 0.25, 0.5, 3.0)],
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[2]}")
def test_loss_is_torchs(case, reduction):
    name, values, options, order = case
    compare(name, values, order, reduction=reduction, **options)


def test_every_loss_is_here():
    functions = {name for name in nn.__all__ if name in dir(torch.nn.functional)}
    functions -= {"interpolate", "scaled_dot_product_attention"}  # test_layer_functions.py
    functions -= {"relu"}  # what the layer calls: test_layers.py
    assert functions == {name for name, *_ in CASES}


@pytest.mark.parametrize("name", sorted({name for name, *_ in CASES}))
def test_losses_refuse_two_shapes_and_unknown_reductions(name):
    for shapes, options, words in [
        (((3,), (4,)), {}, r".*\(3,\) and \(4,\)"),
        (((3,), (3, 1)), {}, r".*\(3,\) and \(3, 1\)"),  # torch warns, or raises
        (((3,), (3,)), {"reduction": "max"}, ".*'max'"),
        *([(((3,), (3,)), {"beta": -1.0}, ".*-1.0")] if name == "smooth_l1_loss" else []),
    ]:
        with pytest.raises((ValueError, RuntimeError, UserWarning)):
            getattr(torch.nn.functional, name)(*map(torch.ones, shapes), **options)
        with pytest.raises(ValueError, match=f"^{name}: {words}"):
            getattr(nn, name)(*map(np.ones, shapes), **options)


def compare(name, values, order, **options):
    random = np.random.default_rng(0)
    probes = [random.normal(size=values[0].shape) for _ in values]
    probe = probes[0] if options["reduction"] == "none" else 1.5
    want = there(lambda x, target: getattr(torch.nn.functional, name)(x, target, **options), values, probe, probes)
    have = here(lambda x, target: getattr(nn, name)(x, target, **options), values, probe, probes)
    second = lambda found: {key: np.asarray(x) for key, x in found.items() if order == 2 or "twice" not in key}
    assert_same(second(have), second(want))


def there(loss, values, probe, probes):
    """The loss, the gradients of <probe, sin loss>, and the gradients of <probes, those gradients>."""
    free = [torch.tensor(x, requires_grad=True) for x in values]
    dot = lambda a, b: (torch.as_tensor(a) * b).sum()
    gradients = lambda value: torch.autograd.grad(value, free, create_graph=True, materialize_grads=True)
    y = loss(*free)
    first = gradients(dot(probe, y.sin()))
    second = gradients(sum(map(dot, probes, first)))
    return {key: x.detach().numpy() for key, x in named(y, first, second).items()}


def here(loss, values, probe, probes):
    value = lambda free: (probe * jnp.sin(loss(*free))).sum()
    along = lambda free: sum((p * slope).sum() for p, slope in zip(probes, jax.grad(value)(free), strict=True))
    found = lambda free: named(loss(*free), jax.grad(value)(free), jax.grad(along)(free))
    return jax.jit(found, compiler_options=QUICK)([jnp.asarray(x) for x in values])


def named(y, first, second):
    sides = lambda gradients: dict(zip(("x", "target"), gradients, strict=True))
    return {"y": y, **titled("by", sides(first)), **titled("twice by", sides(second))}
