"""Spectral normalisation"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jax.lax import stop_gradient
from jax.nn.initializers import zeros

from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, Fact, off
from jaxgen.parity.semantics.sides import array, filled, nchw, nhwc, normal, quick, tensor

torch = needs("torch", "verify")

EPS = 1e-10  # Flax adds its eps of 1e-12 where torch takes the larger


def _torch(layer, **how):
    """-> the layer, its weight and u before the first step."""
    layer = torch.nn.utils.spectral_norm(layer.double(), **how)
    return layer, array(layer.weight_orig), array(layer.weight_u)


def _linen(layer, kernel, u, xs, trains, steps=1):
    """What linen.SpectralNorm makes of the last x, one after the other."""
    stats = {"layer_instance/kernel/u": u[None], "layer_instance/kernel/sigma": np.ones(())}
    module = linen.SpectralNorm(layer, n_steps=steps)

    def last(xs, kernel, stats):
        for x, train in zip(xs, trains, strict=True):
            given = {"params": {"layer_instance": {"kernel": kernel}}, "batch_stats": stats}
            y, moved = module.apply(given, x, update_stats=train, mutable=["batch_stats"])
            stats = moved["batch_stats"]
        return y

    return quick(last, xs, kernel, stats)


def _step(matrix, u, steps=1):
    """torch's power iteration of an (out, ...) matrix -> u, v."""
    unit = lambda x: x / jnp.maximum(jnp.linalg.norm(x), 1e-12)
    for _ in range(steps):
        v = unit(matrix.T @ u)
        u = unit(matrix @ v)
    return stop_gradient(u), stop_gradient(v)


def training():
    """SpectralNorm: a step in training
    torch: one power iteration, then weight / sigma
    jax: the same from the same u, which torch keeps as (out,) and linen as (1, out)
    do: nothing
    """
    x = normal(3, 5)
    layer, weight, u = _torch(torch.nn.Linear(5, 4, bias=False))
    dense = linen.Dense(4, use_bias=False, kernel_init=zeros)
    return Agrees(off(array(layer(tensor(x))), _linen(dense, weight.T, u, [x], [True])), EPS)


def evaluation():
    """SpectralNorm: evaluation
    torch: uses u and v as they are
    jax: update_stats=False iterates once more and does not keep it
    do: keep v beside u; weight / (u @ weight @ v)
    """
    x = normal(3, 5)
    layer, weight, u = _torch(torch.nn.Linear(5, 4, bias=False))
    layer(tensor(x))
    want = array(layer.eval()(tensor(x)))
    dense = linen.Dense(4, use_bias=False, kernel_init=zeros)

    def mapped(weight, u):
        u, v = _step(weight, u)
        return x @ (weight / (u @ weight @ v)).T

    return Differs(off(want, _linen(dense, weight.T, u, [x, x], [True, False])), off(want, quick(mapped, weight, u)))


def overwritten():
    """SpectralNorm: the parameter
    torch: weight_orig stays; what is used is made from it
    jax: nnx.SpectralNorm writes the divided weight into the parameter, so an optimiser steps from there
    do: weight / (u @ weight @ v), u and v held constant by stop_gradient; the gradient is torch's
    """
    x = normal(3, 5)
    layer, weight, u = _torch(torch.nn.Linear(5, 4, bias=False))
    layer(tensor(x)).square().sum().backward()

    def kept(kernel):
        linear = filled(lambda rngs: nnx.Linear(5, 4, use_bias=False, rngs=rngs), kernel=kernel)
        nnx.SpectralNorm(linear, rngs=nnx.Rngs(0), param_dtype=float)(x)
        return linear.kernel[...]

    def loss(weight):
        a, b = _step(weight, u)
        return ((x @ (weight / (a @ weight @ b)).T) ** 2).sum()

    gradient = off(array(layer.weight_orig.grad), quick(jax.grad(loss), weight))
    return Differs(off(array(layer.weight_orig), quick(kept, weight.T).T), gradient)


def transposed():
    """SpectralNorm of ConvTranspose2d
    torch: sigma of the (out, in kh kw) matrix
    jax: of (kh kw out, in) with transpose_kernel=True: another sigma
    do: the flipped kernel without transpose_kernel; or iterate with weight.transpose(1, 0, 2, 3).reshape(out, -1)
    """
    x, steps = normal(2, 4, 4, 3), 5
    layer, w, u = _torch(torch.nn.ConvTranspose2d(3, 4, 4, 2, 1, bias=False), n_power_iterations=steps)
    want, how = nhwc(layer(nchw(x))), {"use_bias": False, "kernel_init": zeros, "padding": "SAME"}
    stock = lambda kernel, u, on: _linen(
        linen.ConvTranspose(4, (4, 4), (2, 2), transpose_kernel=on, **how), kernel, u, [x], [True], steps
    )
    flipped = stock(w[:, :, ::-1, ::-1].transpose(2, 3, 0, 1), u, False)
    matrix = w.transpose(1, 0, 2, 3).reshape(4, -1)
    a, b = map(np.asarray, quick(lambda matrix, u: _step(matrix, u, steps), matrix, u))
    sigmas = off(array(layer.weight_orig) / (a @ matrix @ b), array(layer.weight))
    return Differs(off(want, stock(w.transpose(2, 3, 1, 0), normal(3), True)), off(want, flipped) + sigmas, EPS)


def keys():
    """SpectralNorm: names in the state
    torch: of the older function and of that in torch.nn.utils.parametrizations: `weight_orig weight_u weight_v;
    parametrizations.weight.original parametrizations.weight.0._u parametrizations.weight.0._v`
    jax: `kernel layer_instance/kernel/sigma layer_instance/kernel/u`
    do: read either; the first is the undivided weight
    """
    older = _torch(torch.nn.Linear(5, 4, bias=False))[0].state_dict()
    newer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(5, 4, bias=False)).state_dict()
    module = linen.SpectralNorm(linen.Dense(4, use_bias=False))
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), np.ones((2, 5)), update_stats=True))
    names = [*shapes["params"]["layer_instance"], *sorted(shapes["batch_stats"])]
    theirs = "; ".join(" ".join(name for name in held if name != "bias") for held in (older, newer))
    return Fact(theirs, " ".join(names))
