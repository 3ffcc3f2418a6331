"""Activations, and gradients at kinks"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx
from jax.lax import stop_gradient

from jaxgen import nn
from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, off
from jaxgen.parity.semantics.sides import array, normal, quick, slope, slope_jax, tensor

torch = needs("torch", "verify")
F = torch.nn.functional

POINTS = np.array([-30.0, -3.5, -1.0, -0.3, 0.0, 0.2, 1.0, 2.5, 6.0, 25.0])


def gelu():
    """GELU
    torch: by erf
    jax: jax.nn.gelu, linen.gelu, nnx.gelu: by tanh. The JAX AI stack's porting tutorial takes it for nn.GELU; its
    tolerances, 1e-3 and at last 1e-1, hide it, and it reads the class that Flax predicts from torch's output
    do: approximate=False, or jaxgen.nn.GELU
    """
    x = np.linspace(-4, 4, 101)
    want = F.gelu(tensor(x))
    naive = quick(lambda x: [gelu(x) for gelu in (jax.nn.gelu, linen.gelu, nnx.gelu)], x)
    mapped = quick(lambda x: [jax.nn.gelu(x, approximate=False), nn.GELU()(x)], x)
    stated = off(F.gelu(tensor(x), approximate="tanh"), *naive)
    return Differs(off(want, *naive), off(want, *mapped), stated=stated)


def leaky_relu_at_zero():
    """LeakyReLU: gradient at exactly 0
    torch: the slope
    jax: 1
    do: jnp.where(x > 0, x, slope * x), or jaxgen.nn.LeakyReLU; the default slope is 0.01 in both
    """
    want = slope(lambda x: F.leaky_relu(x, 0.2), POINTS)
    naive = slope_jax(lambda x: jax.nn.leaky_relu(x, 0.2), POINTS)
    mapped = slope_jax(lambda x: jnp.where(x > 0, x, 0.2 * x), POINTS), slope_jax(nn.LeakyReLU(0.2), POINTS)
    default = off(F.leaky_relu(tensor(POINTS)), *quick(lambda x: [jax.nn.leaky_relu(x), nn.LeakyReLU()(x)], POINTS))
    return Differs(off(want, naive), off(want, *mapped) + default)


def abs_at_zero():
    """abs, L1Loss: gradient at exactly 0
    torch: 0
    jax: 1, which moves identical pixels
    do: x * stop_gradient(sign(x)), or jaxgen.nn.l1_loss
    """
    want, zeros = slope(torch.abs, POINTS), np.zeros_like(POINTS)
    mapped = slope_jax(lambda x: x * stop_gradient(jnp.sign(x)), POINTS)
    mine = slope_jax(lambda x: nn.l1_loss(x, zeros, reduction="none"), POINTS)
    l1 = slope(lambda x: F.l1_loss(x, tensor(zeros), reduction="none"), POINTS)
    return Differs(off(want, slope_jax(jnp.abs, POINTS)), off(want, mapped, mine, l1))


def relu_at_zero():
    """ReLU: gradient at exactly 0
    torch: 0
    jax: jax.nn.relu 0, but jnp.maximum(x, 0) 0.5
    do: jax.nn.relu, or jaxgen.nn.ReLU
    """
    want, naive = slope(F.relu, POINTS), slope_jax(lambda x: jnp.maximum(x, 0), POINTS)
    return Differs(off(want, naive), off(want, slope_jax(jax.nn.relu, POINTS), slope_jax(nn.ReLU(), POINTS)))


def clip_at_bound():
    """clamp: gradient at the bounds
    torch: 1
    jax: jnp.clip 0.5
    do: jnp.where((x >= low) & (x <= high), x, stop_gradient(jnp.clip(x, low, high)))
    """
    want, naive = slope(lambda x: x.clamp(-1, 1), POINTS), slope_jax(lambda x: jnp.clip(x, -1, 1), POINTS)
    inside = lambda x: (x >= -1) & (x <= 1)
    mapped = slope_jax(lambda x: jnp.where(inside(x), x, stop_gradient(jnp.clip(x, -1, 1))), POINTS)
    return Differs(off(want, naive), off(want, mapped))


def hardtanh_at_bound():
    """Hardtanh: gradient at -1 and 1
    torch: 0
    jax: jax.nn.hard_tanh 1
    do: jnp.where((x > -1) & (x < 1), x, stop_gradient(jnp.sign(x)))
    """
    want, naive = slope(F.hardtanh, POINTS), slope_jax(jax.nn.hard_tanh, POINTS)
    mapped = slope_jax(lambda x: jnp.where((x > -1) & (x < 1), x, stop_gradient(jnp.sign(x))), POINTS)
    return Differs(off(want, naive), off(want, mapped))


def norm_of_zero():
    """norm: gradient at the zero vector (WGAN-GP)
    torch: 0
    jax: jnp.linalg.norm NaN
    do: optax.safe_norm(x, 0.0, axis=...)
    """
    x = np.stack([np.zeros(4), normal(4)])
    leaf = tensor(x, grad=True)
    leaf.norm(dim=1).sum().backward()
    naive = slope_jax(lambda x: jnp.linalg.norm(x, axis=1), x)
    return Differs(
        off(array(leaf.grad), naive), off(array(leaf.grad), slope_jax(lambda x: optax.safe_norm(x, 0.0, axis=1), x))
    )


def softplus():
    """Softplus
    torch: x itself above a threshold of 20: off by 2e-9 there
    jax: exact
    do: jnp.where(x > 20, x, jax.nn.softplus(x))
    """
    x = np.array([-30.0, 0.0, 19.9, 20.1])
    want, naive, mapped = F.softplus(tensor(x)), jax.nn.softplus(x), jnp.where(x > 20, x, jax.nn.softplus(x))
    return Differs(off(want, naive), off(want, mapped), least=1e-11)  # 2e-9 of 20


def alike():
    """SiLU, ELU, SELU, Mish, Hardswish, Hardsigmoid, LogSigmoid, Sigmoid, Tanh
    torch: torch.nn.functional
    jax: jax.nn has the same, in value and gradient (but for Hardsigmoid's, below)
    do: nothing
    """
    pairs = {
        "silu": jax.nn.silu, "elu": jax.nn.elu, "selu": jax.nn.selu, "mish": jax.nn.mish, "sigmoid": jax.nn.sigmoid,
        "hardswish": jax.nn.hard_swish, "hardsigmoid": jax.nn.hard_sigmoid, "logsigmoid": jax.nn.log_sigmoid,
        "tanh": jnp.tanh,
    }  # fmt: skip
    x, errors = np.linspace(-8, 8, 98), []  # no kinks among them
    both = lambda f, x: (f(x), jax.grad(lambda x: f(x).sum())(x))
    for name, (value, gradient) in zip(pairs, quick(lambda x: [both(f, x) for f in pairs.values()], x), strict=True):
        errors += off(getattr(F, name)(tensor(x)), value)
        errors += off(slope(getattr(F, name), x), gradient) if name != "hardsigmoid" else []
    return Agrees(errors)


def hardsigmoid_slope():
    """Hardsigmoid: gradient in float64
    torch: 1/6 with the digits of float32
    jax: jax.nn.hard_sigmoid 1/6
    do: nothing; know it when an error of 3e-8 is left
    """
    x = np.linspace(-8, 8, 98)
    want, naive = slope(F.hardsigmoid, x), slope_jax(jax.nn.hard_sigmoid, x)
    mapped = np.where(np.abs(x) < 3, float(np.float32(1 / 6)), 0)
    return Differs(off(want, naive), off(want, mapped), least=1e-9)  # half a unit of float32's last place
