"""Losses"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen import nn
from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, off
from jaxgen.parity.semantics.sides import normal, quick, slope, slope_jax, tensor

torch = needs("torch", "verify")
F = torch.nn.functional

P, Y = np.array([0.0, 1.0, 0.0, 1.0, 0.3, 0.9]), np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.2])


def _formula(p):
    return -Y * jnp.log(p) - (1 - Y) * jnp.log(1 - p)


def _clamped(p):
    return -Y * jnp.maximum(jnp.log(p), -100) - (1 - Y) * jnp.maximum(jnp.log(1 - p), -100)


def bce():
    """BCELoss
    torch: logarithms are at least -100
    jax: none; the formula gives NaN at p = 0 or 1
    do: jnp.maximum(jnp.log(p), -100), the other alike; or jaxgen.nn.binary_cross_entropy
    """
    want = F.binary_cross_entropy(tensor(P), tensor(Y), reduction="none")
    mine = lambda p: nn.binary_cross_entropy(p, Y, reduction="none")
    naive, *mapped = quick(lambda p: [_formula(p), _clamped(p), mine(p)], P)
    return Differs(off(want, naive), off(want, *mapped))


def bce_gradient():
    """BCELoss: gradient
    torch: (p - y) / max(p (1 - p), 1e-12), whatever is clamped
    jax: NaN at p = 0 or 1, also of the clamped form
    do: jax.custom_vjp with torch's formula, 1e-12 rounded to float32; or jaxgen.nn.binary_cross_entropy
    """
    least = float(np.float32(1e-12))
    mapped = jax.custom_vjp(_clamped)
    mapped.defvjp(lambda p: (_clamped(p), p), lambda p, g: (g * (p - Y) / jnp.maximum(p * (1 - p), least),))
    want = slope(lambda p: F.binary_cross_entropy(p, tensor(Y), reduction="none"), P)
    mine = slope_jax(lambda p: nn.binary_cross_entropy(p, Y, reduction="none"), P)
    return Differs(off(want, slope_jax(_formula, P), slope_jax(_clamped, P)), off(want, slope_jax(mapped, P), mine))


def bce_of_sigmoid():
    """BCELoss(sigmoid(x)) against BCEWithLogitsLoss(x), in float32
    torch: 100 and 30 at x = 30, y = 0: sigmoid rounds to 1
    jax: optax.sigmoid_binary_cross_entropy is the second, and not a port of the first
    do: port each to its own: the clamped form, or jaxgen.nn.binary_cross_entropy
    """
    x, y = np.float32([30.0]), np.float32([0.0])
    want = F.binary_cross_entropy(torch.sigmoid(tensor(x)), tensor(y))
    losses = lambda x: [optax.sigmoid_binary_cross_entropy(x, y)[0], nn.binary_cross_entropy(jax.nn.sigmoid(x), y)]
    logits, mine = quick(losses, x)
    return Differs(off(want, logits), off(want, mine))


def bce_with_logits():
    """BCEWithLogitsLoss(pos_weight=w)
    torch: w weighs the positive term
    jax: optax.sigmoid_binary_cross_entropy has no such argument; w times the loss is another function
    do: -w y log_sigmoid(x) - (1 - y) log_sigmoid(-x); without w: optax.sigmoid_binary_cross_entropy, or
    jaxgen.nn.binary_cross_entropy_with_logits
    """
    x, w = np.array([-200.0, -3.0, 0.0, 2.0, 30.0, 300.0]), 2.5
    want, plain = (
        F.binary_cross_entropy_with_logits(tensor(x), tensor(Y), pos_weight=weight, reduction="none")
        for weight in (torch.tensor(w), None)
    )
    weighted = lambda x: -w * Y * jax.nn.log_sigmoid(x) - (1 - Y) * jax.nn.log_sigmoid(-x)
    mine = lambda x: nn.binary_cross_entropy_with_logits(x, Y, reduction="none")
    stock, mapped, mine = quick(lambda x: [optax.sigmoid_binary_cross_entropy(x, Y), weighted(x), mine(x)], x)
    return Differs(off(want, w * stock), off(want, mapped) + off(plain, stock, mine))


def smooth_l1():
    """SmoothL1Loss(beta), HuberLoss(delta)
    torch: smooth L1 is Huber's divided by beta
    jax: optax.huber_loss is torch's huber_loss
    do: optax.huber_loss(x, y, delta=beta) / beta, or jaxgen.nn.smooth_l1_loss
    """
    x, y, beta = normal(20) * 2, normal(20, seed=1), 0.3
    want = F.smooth_l1_loss(tensor(x), tensor(y), beta=beta, reduction="none")
    smooth = lambda x: nn.smooth_l1_loss(x, y, beta=beta, reduction="none")
    naive, mine = quick(lambda x: [optax.huber_loss(x, y, delta=beta), smooth(x)], x)
    huber = off(F.huber_loss(tensor(x), tensor(y), delta=beta, reduction="none"), naive)
    return Differs(off(want, naive), off(want, naive / beta, mine) + huber)


def mse():
    """MSELoss
    torch: (x - y)^2
    jax: optax.l2_loss is half of it
    do: optax.squared_error, or jaxgen.nn.mse_loss
    """
    x, y = normal(20), normal(20, seed=1)
    want = F.mse_loss(tensor(x), tensor(y))
    losses = lambda x: [optax.l2_loss(x, y).mean(), optax.squared_error(x, y).mean(), nn.mse_loss(x, y)]
    naive, *mapped = quick(losses, x)
    return Differs(off(want, naive), off(want, *mapped))


def label_smoothing():
    """CrossEntropyLoss(label_smoothing=a)
    torch: (1 - a) one_hot + a / classes
    jax: optax.smooth_labels does the same
    do: optax.softmax_cross_entropy(x, optax.smooth_labels(one_hot, a)).mean()
    """
    x, labels = normal(6, 5), np.arange(6) % 5
    want = F.cross_entropy(tensor(x), tensor(labels), label_smoothing=0.1)
    smooth = lambda x: optax.softmax_cross_entropy(x, optax.smooth_labels(jax.nn.one_hot(labels, 5), 0.1)).mean()
    return Agrees(off(want, quick(smooth, x)))


def ignore_index():
    """CrossEntropyLoss(ignore_index=-100)
    torch: such rows count neither in the sum nor in the mean
    jax: optax reads them as an index out of range
    do: where = labels != -100; losses of labels * where, summed where true, over where.sum()
    """
    x, labels = normal(6, 5), np.array([0, -100, 2, 3, -100, 1])
    where, loss = labels != -100, optax.softmax_cross_entropy_with_integer_labels
    mapped = lambda x: jnp.where(where, loss(x, labels * where), 0).sum() / where.sum()
    want = F.cross_entropy(tensor(x), tensor(labels))
    return Differs(off(want, quick(lambda x: loss(x, labels).mean(), x)), off(want, quick(mapped, x)))


def kl_div():
    """KLDivLoss: reduction="mean"
    torch: divides by all elements; "batchmean" by the rows
    jax: optax.kl_divergence sums the classes, its mean is torch's "batchmean"
    do: divide the mean by the number of classes
    """
    q, p = np.log(np.abs(normal(6, 5)) + 0.1), np.abs(normal(6, 5, seed=1)) + 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch itself says that its "mean" is not the mathematical one
        want, rows = (F.kl_div(tensor(q), tensor(p), reduction=how) for how in ("mean", "batchmean"))
    stock = np.asarray(quick(lambda q: optax.kl_divergence(q, p).mean(), q))
    return Differs(off(want, stock), off(want, stock / 5) + off(rows, stock))
