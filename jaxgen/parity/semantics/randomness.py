"""Random numbers"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, Fact, off
from jaxgen.parity.semantics.sides import array, nchw, nhwc, normal, quick, tensor

torch = needs("torch", "verify")


def streams():
    """Random numbers of one seed
    torch: torch.manual_seed, a Mersenne twister on CPUs
    jax: jax.random.key: other numbers
    do: share arrays, not seeds: draw in NumPy, or on one side
    """
    want, shared = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), normal(8)
    return Differs(off(want, jax.random.normal(jax.random.key(0), (8,))), off(tensor(shared), jnp.asarray(shared)))


def prefixes():
    """Is randn(16)[:4] what randn(15)[:4] is?
    torch: `False` on CPUs: from 16 on another algorithm draws
    jax: `True`
    do: draw the same shape on both sides, or share arrays
    """
    theirs = [torch.randn(n, generator=torch.Generator().manual_seed(0))[:4] for n in (16, 15)]
    ours = quick(lambda key: [jax.random.normal(key, (n,))[:4] for n in (16, 15)], jax.random.key(0))
    return Fact(torch.equal(*theirs), bool((ours[0] == ours[1]).all()))


def precisions():
    """Are float32 and float64 draws of one seed the same numbers?
    torch: `True`
    jax: `False`
    do: draw once, then cast
    """
    theirs = [
        torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=x) for x in (torch.float32, torch.float64)
    ]
    ours = [np.asarray(jax.random.normal(jax.random.key(0), (8,), x), float) for x in (np.float32, np.float64)]
    alike = lambda a, b: bool(np.allclose(a, b, atol=1e-5))
    return Fact(alike(*theirs), alike(*ours))


def generator():
    """The generator
    torch: a Mersenne twister on CPUs, with a state of `5056` bytes
    jax: `threefry2x32 partitionable=True`
    do: know both where a stream is to be kept over versions
    """
    state = torch.Generator().get_state()
    kind = f"{jax.config.jax_default_prng_impl} partitionable={jax.config.jax_threefry_partitionable}"
    return Fact(len(state), kind)


def dropout():
    """Dropout(p)
    torch: kept values are divided by 1 - p
    jax: so they are; the masks are other ones
    do: share the mask: x * mask / (1 - p), or jaxgen.nn.Dropout
    """
    x, rate = normal(40) + 5, 0.3
    y = torch.nn.functional.dropout(tensor(x), rate)
    mask = array(y) != 0
    drop = lambda x, key: linen.Dropout(rate, deterministic=False).apply({}, x, rngs={"dropout": key})
    z = quick(drop, x, jax.random.key(0))
    return Agrees(off(y, x * mask / (1 - rate)) + off(z, x * (np.asarray(z) != 0) / (1 - rate)))


def dropout2d():
    """Dropout2d
    torch: drops whole channels
    jax: Dropout drops values; shown: channels that are cut in part, of all
    do: broadcast_dims=(1, 2)
    """
    x = np.ones((4, 5, 5, 8))
    in_part = lambda y: float(((np.asarray(y) == 0).any((1, 2)) & (np.asarray(y) != 0).any((1, 2))).mean())

    def both(key, **how):
        module = linen.Dropout(0.5, deterministic=False, **how)
        return [module.apply({}, x, rngs={"dropout": key}), nnx.Dropout(0.5, rngs=nnx.Rngs(key), **how)(x)]

    naive, mapped = quick(lambda key: (both(key), both(key, broadcast_dims=(1, 2))), jax.random.key(0))
    want = in_part(nhwc(torch.nn.functional.dropout2d(nchw(x))))
    return Differs([in_part(y) - want for y in naive], [in_part(y) for y in mapped] + [want])
