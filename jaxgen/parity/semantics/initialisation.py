"""Initial values: standard deviations of what is drawn"""

import math

import jax
import jax.numpy as jnp
from flax import linen, nnx
from jax.nn.initializers import normal, truncated_normal, variance_scaling

from jaxgen import nn
from jaxgen.errors import needs
from jaxgen.functional import Functional
from jaxgen.parity.semantics.found import Agrees, Differs, off
from jaxgen.parity.semantics.sides import array, quick

torch = needs("torch", "verify")

SCALED = variance_scaling(1 / 3, "fan_in", "uniform")


def _drawn(want, naive, mapped):
    """The deviations of some functions of a key against torch's. The smallest of these arrays has 16,384 elements, from
    which a deviation is known to half a percent."""
    stds = lambda *draws: quick(lambda key: [jnp.std(draw(key)) for draw in draws], jax.random.key(0))
    found = stds(*naive, *mapped)
    errors = [e for x in found for e in off(array(want).std(), x)]
    return Differs(errors[: len(naive)], errors[len(naive) :], bound=0.03, least=0.1)


def _linen(layer, *shape, name="kernel"):
    """What a layer of linen draws for an input of this shape."""
    x = jnp.zeros(shape, int if isinstance(layer, linen.Embed) else float)
    return lambda key: layer.init(key, x)["params"][name]


def _nnx(make, name="kernel"):
    return lambda key: getattr(make(nnx.Rngs(key)), name)[...]


def _ours(layer, name="weight"):
    return lambda key: Functional(layer).init(key)[0][name]


def linear():
    """Linear: weight
    torch: kaiming_uniform(a=sqrt(5)), which is U(-1/sqrt(fan_in), 1/sqrt(fan_in))
    jax: lecun_normal: the deviation is 1.7 times larger
    do: kernel_init=variance_scaling(1/3, "fan_in", "uniform"), or jaxgen.nn.Linear
    """
    layer = torch.nn.Linear(256, 128)
    naive = _linen(linen.Dense(128), 1, 256), _nnx(lambda rngs: nnx.Linear(256, 128, rngs=rngs))
    mapped = _linen(linen.Dense(128, kernel_init=SCALED), 1, 256), _ours(nn.Linear(256, 128))
    found = _drawn(layer.weight, naive, mapped)
    largest = off(1 / math.sqrt(256), layer.weight.abs().max().item(), math.sqrt(3) * array(layer.weight).std())
    return found._replace(mapped=found.mapped + largest)


def conv():
    """Conv2d: weight
    torch: the same of fan_in = in kh kw / groups
    jax: lecun_normal: the deviation is 1.7 times larger
    do: kernel_init=variance_scaling(1/3, "fan_in", "uniform"), or jaxgen.nn.Conv2d
    """
    naive = _linen(linen.Conv(64, (3, 3)), 1, 4, 4, 32), _nnx(lambda rngs: nnx.Conv(32, 64, (3, 3), rngs=rngs))
    mapped = _linen(linen.Conv(64, (3, 3), kernel_init=SCALED), 1, 4, 4, 32), _ours(nn.Conv2d(32, 64, 3))
    return _drawn(torch.nn.Conv2d(32, 64, 3).weight, naive, mapped)


def bias():
    """Linear, Conv2d, ConvTranspose2d: bias
    torch: U(-1/sqrt(fan_in), 1/sqrt(fan_in))
    jax: 0
    do: bias_init=lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -b, b), b = 1/sqrt(fan_in); or
    jaxgen.nn.Linear
    """
    draw = lambda key, shape, dtype: jax.random.uniform(key, shape, dtype, -1 / 2, 1 / 2)
    n, stock = 16384, lambda **how: _linen(linen.Dense(16384, **how), 1, 4, name="bias")
    naive = stock(), _nnx(lambda rngs: nnx.Linear(4, n, rngs=rngs), "bias")
    return _drawn(torch.nn.Linear(4, n).bias, naive, [stock(bias_init=draw), _ours(nn.Linear(4, n), "bias")])


def conv_transpose():
    """ConvTranspose2d: weight
    torch: fan_in counts the output channels, which stand where inputs would: out kh kw
    jax: lecun_normal, of in kh kw; of out kh kw with transpose_kernel=True
    do: transpose_kernel=True, kernel_init=variance_scaling(1/3, "fan_in", "uniform"); or jaxgen.nn.ConvTranspose2d
    """
    stock = lambda **how: _linen(linen.ConvTranspose(64, (4, 4), **how), 1, 4, 4, 16)
    naive = stock(), stock(transpose_kernel=True), _nnx(lambda rngs: nnx.ConvTranspose(16, 64, (4, 4), rngs=rngs))
    mapped = stock(transpose_kernel=True, kernel_init=SCALED), _ours(nn.ConvTranspose2d(16, 64, 4))
    return _drawn(torch.nn.ConvTranspose2d(16, 64, 4).weight, naive, mapped)


def embedding():
    """Embedding
    torch: N(0, 1)
    jax: the deviation is 1/sqrt(features)
    do: embedding_init=jax.nn.initializers.normal(1.0), or jaxgen.nn.Embedding
    """
    stock = lambda **how: _linen(linen.Embed(128, 256, **how), 1, name="embedding")
    naive = stock(), _nnx(lambda rngs: nnx.Embed(128, 256, rngs=rngs), "embedding")
    mapped = stock(embedding_init=normal(1.0)), _ours(nn.Embedding(128, 256))
    return _drawn(torch.nn.Embedding(128, 256).weight, naive, mapped)


def _attention(part, **how):
    layer = linen.MultiHeadDotProductAttention(4, **how)
    return lambda key: layer.init(key, jnp.zeros((1, 2, 128)))["params"][part]["kernel"]


def attention():
    """MultiheadAttention: in_proj_weight
    torch: xavier_uniform of the packed (3 E, E): U(-sqrt(6 / 4E), sqrt(6 / 4E))
    jax: lecun_normal
    do: kernel_init=variance_scaling(0.5, "fan_in", "uniform")
    """
    layer, halved = torch.nn.MultiheadAttention(128, 4), variance_scaling(0.5, "fan_in", "uniform")
    stock = _nnx(lambda rngs: nnx.MultiHeadAttention(4, 128, rngs=rngs).query)
    found = _drawn(layer.in_proj_weight, [_attention("key"), stock], [_attention("key", kernel_init=halved)])
    largest = off(math.sqrt(6 / 4 / 128), layer.in_proj_weight.abs().max().item())
    zeros = off(0.0, array(layer.in_proj_bias).std(), array(layer.out_proj.bias).std())
    return found._replace(mapped=found.mapped + largest + zeros)


def attention_out():
    """MultiheadAttention: out_proj
    torch: as Linear, but its bias, and those of the others, are 0
    jax: lecun_normal, biases 0
    do: out_kernel_init=variance_scaling(1/3, "fan_in", "uniform")
    """
    layer, mapped = torch.nn.MultiheadAttention(128, 4), _attention("out", out_kernel_init=SCALED)
    return _drawn(layer.out_proj.weight, [_attention("out")], [mapped])


def truncated():
    """trunc_normal_(std=0.02)
    torch: cut at -2 and 2, which is 100 deviations away
    jax: truncated_normal(0.02), which the JAX AI stack's porting tutorial takes, is cut at 2 deviations: 0.0176
    do: jax.nn.initializers.normal(0.02)
    """
    want, shape = torch.nn.init.trunc_normal_(torch.empty(128, 128), std=0.02), (128, 128)
    naive, mapped = (lambda key: truncated_normal(0.02)(key, shape)), (lambda key: normal(0.02)(key, shape))
    return _drawn(want, [naive], [mapped])


def norms():
    """BatchNorm, GroupNorm, LayerNorm: weight and bias
    torch: 1 and 0
    jax: 1 and 0
    do: nothing
    """
    theirs = torch.nn.BatchNorm2d(8), torch.nn.GroupNorm(4, 8), torch.nn.LayerNorm(8)
    makes = (nnx.BatchNorm, 8), (nnx.GroupNorm, 8, 4), (nnx.LayerNorm, 8)
    made = lambda: [make(*how, rngs=nnx.Rngs(0)) for make, *how in makes]
    errors = []
    for layer, held in zip(theirs, quick(lambda: [(x.scale[...], x.bias[...]) for x in made()]), strict=True):
        errors += off(array(layer.weight), held[0]) + off(array(layer.bias), held[1])
    return Agrees(errors)


def dcgan():
    """BatchNorm: DCGAN's weights_init
    torch: the tutorial's weights_init draws the weight from N(1, 0.02)
    jax: 1, as long as no one does it
    do: scale_init=lambda key, shape, dtype: 1 + 0.02 * jax.random.normal(key, shape, dtype)
    """
    draw = lambda key, shape, dtype: 1 + 0.02 * jax.random.normal(key, shape, dtype)
    naive, mapped = linen.BatchNorm(False), linen.BatchNorm(False, scale_init=draw)
    want = torch.nn.init.normal_(torch.empty(16384), 1.0, 0.02)
    return _drawn(want, [_linen(naive, 2, 16384, name="scale")], [_linen(mapped, 2, 16384, name="scale")])
