"""Batch normalisation"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from jaxgen import nn
from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, Fact, off
from jaxgen.parity.semantics.sides import agreed, array, arrays, filled, normal, ours, quick, raised, tensor

torch = needs("torch", "verify")


def _torch(batches, *how, **more):
    """-> what BatchNorm1d makes of the last batch in training, its arrays afterwards."""
    layer = torch.nn.BatchNorm1d(batches[0].shape[1], *how, **more).double()
    for x in batches:
        y = layer(tensor(x))
    return array(y), arrays(layer)


def _traced(batches, after=lambda old, new: new, **how):
    """-> [(output, mean, var), ...] of linen and of nnx in training; var is what `after` makes of it in each step."""
    n = batches[0].shape[1]
    params, stats = {"scale": jnp.ones(n), "bias": jnp.zeros(n)}, {"mean": jnp.zeros(n), "var": jnp.ones(n)}
    module = linen.BatchNorm(use_running_average=False, **how)
    layer = filled(lambda rngs: nnx.BatchNorm(n, rngs=rngs, **how), **params, **stats)
    for x in batches:
        old = stats["var"]
        y, moved = module.apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])
        stats, z = moved["batch_stats"], layer(x)
        stats["var"] = after(old, stats["var"])
        layer.var.set_value(after(old, layer.var[...]))
    return (y, stats["mean"], stats["var"]), (z, layer.mean[...], layer.var[...])


def _flax(batches, *how, **more):
    return quick(lambda batches: _traced(batches, *how, **more), batches)


def _ours(batches, *how, **more):
    n = batches[0].shape[1]
    fresh = {"weight": np.ones(n), "bias": np.zeros(n), "running_mean": np.zeros(n), "running_var": np.ones(n)}
    ys, held = ours(nn.BatchNorm1d(n, *how, **more), fresh | {"num_batches_tracked": np.array(0)}, *batches)
    return ys[-1], held["running_mean"], held["running_var"]


def momentum():
    """BatchNorm: momentum
    torch: 0.1, the weight of the new batch
    jax: 0.99, the weight of the old statistics: they move ten times slower. The Flax guides say that the default is 0.9
    do: momentum=0.9, that is 1 - torch's; or jaxgen.nn.BatchNorm2d
    """
    batches = [normal(16, 3) + 1]
    want = _torch(batches)[1]["running_mean"]
    mean = lambda found: [mean for _, mean, _ in found]
    default, mapped = mean(_flax(batches)), [*mean(_flax(batches, momentum=0.9)), _ours(batches)[1]]
    stated = off(0.01 * batches[0].mean(0), *default)
    return Differs(off(want, *default), off(want, *mapped), stated=stated)


def running_var():
    """BatchNorm: running_var
    torch: of the unbiased variance, n / (n - 1)
    jax: of the biased one, with no option to change it; the Flax guides call it the same computation. Outputs in
    training are equal: only evaluation and the state show it
    do: after each step, with m = 0.9, m old + (new - m old) n / (n - 1), n rows times pixels; or jaxgen.nn.BatchNorm2d
    """
    batches, m = [normal(16, 3, seed=i) for i in range(3)], 0.9
    want = _torch(batches)[1]["running_var"]
    corrected = lambda old, new: m * old + (new - m * old) * 16 / 15
    naive, mapped = _flax(batches, momentum=m), _flax(batches, corrected, momentum=m)
    variances = lambda found: [var for _, _, var in found]
    return Differs(off(want, *variances(naive)), off(want, *variances(mapped), _ours(batches)[2]))


def training_output():
    """BatchNorm: output in training
    torch: the biased variance normalises
    jax: the same
    do: nothing
    """
    batches = [normal(16, 3) * 2 + 1]
    return Agrees(off(_torch(batches)[0], *(y for y, _, _ in _flax(batches)), _ours(batches)[0]))


def eps():
    """BatchNorm: eps
    torch: `1e-05`
    jax: `1e-05`, the one norm of Flax that agrees
    do: nothing
    """
    theirs = filled(lambda rngs: nnx.BatchNorm(3, rngs=rngs))
    return Fact(torch.nn.BatchNorm2d(3).eps, agreed(linen.BatchNorm().epsilon, theirs.epsilon))


def positional_eps():
    """BatchNorm2d(128, 0.8)
    torch: sets eps to 0.8, as the widely copied PyTorch-GAN does
    jax: momentum=0.2, which one would read into it, is another function
    do: epsilon=0.8, momentum=0.9, or jaxgen.nn.BatchNorm2d(128, 0.8)
    """
    batches = [normal(16, 3)]
    want, state = _torch(batches, 0.8)
    naive, mapped = _flax(batches, momentum=0.2), _flax(batches, epsilon=0.8, momentum=0.9)
    mine, mean, _ = _ours(batches, 0.8)
    means = off(state["running_mean"], *(mean for _, mean, _ in mapped), mean)
    return Differs(off(want, *(y for y, _, _ in naive)), off(want, *(y for y, _, _ in mapped), mine) + means)


def one_row():
    """BatchNorm: one value a channel, in training
    torch: raises `ValueError`
    jax: gives `0.0`: the mean is the value itself, and the running variance shrinks
    do: refuse such batches, or jaxgen.nn.BatchNorm1d, which does
    """
    batches = [normal(1, 3)]
    outputs = [float(np.abs(y).max()) for y, _, _ in _flax(batches)]
    return Fact(agreed(raised(lambda: _torch(batches)), raised(lambda: _ours(batches))), agreed(*outputs))


def devices():
    """BatchNorm: several devices
    torch: statistics of each device's share, unless SyncBatchNorm: those of the whole batch
    jax: of each share under vmap, pmap and shard_map, unless axis_name
    do: axis_name="data" for SyncBatchNorm, whose running_var takes n of the whole batch
    """
    x = normal(16, 3)
    want, state = _torch([x])

    def split(**how):
        shares = jax.vmap(lambda x: _traced([x], momentum=0.9, **how), axis_name="data")
        return [(y.reshape(16, 3), mean[0], var[0]) for y, mean, var in quick(shares, x.reshape(2, 8, 3))]

    naive, mapped = split(), split(axis_name="data")
    held = [e for _, mean, _ in mapped for e in off(state["running_mean"], mean)]
    held += [e for _, _, var in mapped for e in off(state["running_var"], 0.9 + (var - 0.9) * 16 / 15)]
    return Differs(off(want, *(y for y, _, _ in naive)), off(want, *(y for y, _, _ in mapped)) + held)
