"""Other norms"""

import numpy as np
from flax import linen, nnx

from jaxgen import nn
from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Differs, Fact, off
from jaxgen.parity.semantics.sides import agreed, array, filled, flax, nchw, nhwc, normal, ours, quick, tensor

torch = needs("torch", "verify")


def _group(x, **how):
    """GroupNorm without learned arrays, of linen and of nnx."""
    how |= {"use_scale": False, "use_bias": False}
    return flax(linen.GroupNorm(**how), lambda rngs: nnx.GroupNorm(x.shape[-1], rngs=rngs, **how), x)


def _layer(x, **how):
    how |= {"use_scale": False, "use_bias": False}
    return flax(linen.LayerNorm(**how), lambda rngs: nnx.LayerNorm(x.shape[-1], rngs=rngs, **how), x)


def _instance(x, **how):
    how |= {"use_scale": False, "use_bias": False}
    return flax(linen.InstanceNorm(**how), lambda rngs: nnx.InstanceNorm(x.shape[-1], rngs=rngs, **how), x)


def eps():
    """GroupNorm, LayerNorm, InstanceNorm: eps
    torch: 1e-5
    jax: 1e-6; seen where the values are small. The JAX AI stack's porting tutorial leaves it so
    do: epsilon=1e-5, or jaxgen.nn.GroupNorm, LayerNorm, InstanceNorm2d
    """
    x, naive, mapped, stated = normal(2, 4, 4, 6) * 0.01, [], [], []
    F, group = torch.nn.functional, lambda x, **how: _group(x, num_groups=2, **how)
    cases = (
        (lambda **eps: nhwc(F.group_norm(nchw(x), 2, **eps)), group, nn.GroupNorm(2, 6, affine=False)),
        (lambda **eps: F.layer_norm(tensor(x), (6,), **eps), _layer, nn.LayerNorm(6, elementwise_affine=False)),
        (lambda **eps: nhwc(F.instance_norm(nchw(x), **eps)), _instance, nn.InstanceNorm2d(6)),
    )
    for theirs, stock, mine in cases:
        default, right = _made(x, stock, mine, {}, {"epsilon": 1e-5})
        naive += off(theirs(), *default)
        mapped += off(theirs(), *right)
        stated += off(theirs(eps=1e-6), *default)
    return Differs(naive, mapped, stated=stated)


def _made(x, stock, mine, naive, right):
    """-> what Flax makes of x with the naive arguments; what it makes with the right ones, and what our layer makes."""
    return quick(lambda x: (stock(x, **naive), [*stock(x, **right), *ours(mine, {}, x)[0]]), x)


def rms_norm_eps():
    """RMSNorm: eps
    torch: None, that is torch.finfo(dtype).eps: 1.2e-7 in float32
    jax: 1e-6
    do: epsilon=jnp.finfo(x.dtype).eps, or the same number on both sides
    """
    x = normal(5, 6) * 0.01
    want, stated = (torch.nn.functional.rms_norm(tensor(x), (6,), eps=eps) for eps in (None, 1e-6))
    make = lambda rngs, **how: nnx.RMSNorm(6, rngs=rngs, use_scale=False, **how)
    eps = {"epsilon": float(np.finfo(x.dtype).eps)}
    stock = lambda **how: flax(linen.RMSNorm(use_scale=False, **how), lambda rngs: make(rngs, **how), x)
    default = stock()
    return Differs(off(want, *default), off(want, *stock(**eps)), stated=off(stated, *default))


def instance_norm_affine():
    """InstanceNorm2d: learned arrays
    torch: `0`, affine=False
    jax: `2`, a scale and a bias
    do: use_scale=False, use_bias=False, epsilon=1e-5; or jaxgen.nn.InstanceNorm2d
    """
    x = normal(2, 4, 4, 3)
    layer, held = torch.nn.InstanceNorm2d(3), filled(lambda rngs: nnx.InstanceNorm(3, rngs=rngs))
    stock = sum(getattr(held, name) is not None for name in ("scale", "bias"))
    module = linen.InstanceNorm()
    mapped = [*_instance(x, epsilon=1e-5), *ours(nn.InstanceNorm2d(3), {}, x)[0]]
    count = agreed(stock, module.use_scale + module.use_bias)
    return Fact(len(list(layer.parameters())), count, off(nhwc(layer(nchw(x))), *mapped))


def group_norm_groups():
    """GroupNorm: groups
    torch: must be given; contiguous channels form a group
    jax: 32 unless given; contiguous as well
    do: num_groups=groups, epsilon=1e-5; or jaxgen.nn.GroupNorm
    """
    x = normal(2, 3, 3, 64)
    want, how = nhwc(torch.nn.functional.group_norm(nchw(x), 8)), {"epsilon": 1e-5}
    naive, mapped = _made(x, _group, nn.GroupNorm(8, 64, affine=False), how, {"num_groups": 8, **how})
    stated = off(nhwc(torch.nn.functional.group_norm(nchw(x), 32)), *naive)
    return Differs(off(want, *naive), off(want, *mapped), stated=stated)


def variance():
    """All norms: the variance, in float32
    torch: in two passes, or Welford's
    jax: E[x^2] - E[x]^2, which loses everything where the mean is large; shown: mean 1000, deviation 1
    do: use_fast_variance=False, or the norms of jaxgen.nn
    """
    x, naive, mapped = _far(), [], []
    F, group = torch.nn.functional, lambda x, **how: _group(x, num_groups=4, **how)
    cases = (
        (lambda x: nhwc(F.group_norm(nchw(x), 4)), group, nn.GroupNorm(4, 16, affine=False)),
        (lambda x: array(F.layer_norm(tensor(x), (16,))), _layer, nn.LayerNorm(16, elementwise_affine=False)),
    )
    for theirs, stock, mine in cases:
        want, slow = theirs(x.astype(float)), {"epsilon": 1e-5, "use_fast_variance": False}
        default, right = _made(x, stock, mine, {"epsilon": 1e-5}, slow)
        naive += off(want, *default)
        mapped += off(want, theirs(x), *right)
    return Differs(naive, mapped, bound=1e-3)  # float32 of numbers around 1000, torch's own included


def _far():
    return (normal(8, 4, 4, 16) + 1000).astype(np.float32)


def channels_last():
    """GroupNorm: memory format channels_last, in float32, on a CPU
    torch: loses as much there as Flax's default does, though not with contiguous tensors
    jax: has no memory formats
    do: take the reference from contiguous tensors
    """
    x = _far()
    norm = lambda x: nhwc(torch.nn.functional.group_norm(x, 4))
    want, last = norm(nchw(x.astype(float))), nchw(x).contiguous(memory_format=torch.channels_last)
    return Differs(off(want, norm(last)), off(want, norm(nchw(x))), bound=1e-3)  # float32 of numbers around 1000
