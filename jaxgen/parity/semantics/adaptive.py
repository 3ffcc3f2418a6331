"""Other optimisers, and clipping"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.errors import needs
from jaxgen.optim import clip_grad_norm
from jaxgen.parity.semantics.found import Differs, off
from jaxgen.parity.semantics.sides import array, normal, quick, tensor
from jaxgen.parity.semantics.steps import optax_steps, torch_steps

torch = needs("torch", "verify")


def rmsprop():
    """RMSprop
    torch: alpha 0.99, eps added to the root
    jax: decay 0.9, eps under the root
    do: optax.rmsprop(lr, decay=0.99, eps_in_sqrt=False); with it centered and momentum agree too
    """
    want, how = torch_steps(lambda p: torch.optim.RMSprop(p, 0.01)), {"decay": 0.99, "eps_in_sqrt": False}
    more = torch_steps(lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9, centered=True))
    mapped = optax_steps(optax.rmsprop(0.01, momentum=0.9, centered=True, **how))
    right = off(want, optax_steps(optax.rmsprop(0.01, **how))) + off(more, mapped)
    default, inside = optax_steps(optax.rmsprop(0.01)), optax_steps(optax.rmsprop(0.01, decay=0.99))
    stated = off(optax_steps(optax.rmsprop(0.01, decay=0.9, eps_in_sqrt=True)), default)
    return Differs(off(want, default, inside), right, stated=stated)


def adagrad():
    """Adagrad
    torch: the sum begins at 0, eps = 1e-10 added to the root
    jax: optax begins at 0.1, eps = 1e-7 under the root; with initial_accumulator_value=0 eps still differs
    do: a transformation of one's own: sum += g^2; -lr g / (sqrt(sum) + eps)
    """

    def update(g, total, params=None):
        total = total + g**2
        return -0.1 * g / (jnp.sqrt(total) + 1e-10), total

    want = torch_steps(lambda p: torch.optim.Adagrad(p, 0.1))
    naive = optax_steps(optax.adagrad(0.1)), optax_steps(optax.adagrad(0.1, initial_accumulator_value=0.0))
    mapped = optax_steps(optax.GradientTransformation(jnp.zeros_like, update))
    stated = off(optax_steps(optax.adagrad(0.1, initial_accumulator_value=0.1, eps=1e-7)), naive[0])
    return Differs(off(want, *naive), off(want, mapped), stated=stated)


def nadam():
    """NAdam
    torch: momentum_decay=4e-3 lets the momentum rise from step to step
    jax: optax.nadam has no such schedule
    do: a transformation of one's own: mu(t) = b1 (1 - 0.96^(t momentum_decay) / 2), M = mu(1) ... mu(t);
    -lr ((1 - mu(t)) g / (1 - M) + mu(t + 1) m / (1 - M mu(t + 1))) / (sqrt(v / (1 - b2^t)) + eps)
    """

    def update(g, state, params=None):
        t, whole, m, v = state
        t, mu = t + 1, lambda t: 0.9 * (1 - 0.5 * 0.96 ** (t * 4e-3))
        whole, m, v = whole * mu(t), 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = (1 - mu(t)) * g / (1 - whole) + mu(t + 1) * m / (1 - whole * mu(t + 1))
        return -0.1 * step / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8), (t, whole, m, v)

    init = lambda x: (jnp.zeros(()), jnp.ones(()), jnp.zeros_like(x), jnp.zeros_like(x))
    want = torch_steps(lambda p: torch.optim.NAdam(p, 0.1))
    mapped = optax_steps(optax.GradientTransformation(init, update))
    return Differs(off(want, optax_steps(optax.nadam(0.1))), off(want, mapped), bound=1e-8)  # torch keeps M in float32


def radam():
    """RAdam: eps
    torch: added to sqrt(v)
    jax: optax.radam adds it to sqrt(v / (1 - b2^t))
    do: nothing, the parameters differ by 1e-8; with eps=0 they agree
    """
    theirs = lambda eps: torch_steps(lambda p: torch.optim.RAdam(p, 0.1, eps=eps))
    naive, mapped = optax_steps(optax.radam(0.1)), optax_steps(optax.radam(0.1, eps=0.0))
    return Differs(off(theirs(1e-8), naive), off(theirs(0.0), mapped), least=1e-11)  # about eps itself


def clip_norm():
    """clip_grad_norm_
    torch: times min(1, max_norm / (norm + 1e-6))
    jax: optax.clip_by_global_norm has no 1e-6; seen where the norm is small
    do: g * min(1, max_norm / (optax.tree.norm(g) + 1e-6)), or jaxgen.optim.clip_grad_norm
    """
    g = normal(8) * 0.01
    leaf = tensor(g, grad=True)
    leaf.grad = tensor(g)
    torch.nn.utils.clip_grad_norm_([leaf], 0.005)
    clipped = lambda tx: quick(lambda g: tx.update(g, tx.init(g))[0], g)
    plain = g * min(1, 0.005 / (np.linalg.norm(g) + 1e-6))
    naive, mine = clipped(optax.clip_by_global_norm(0.005)), clipped(clip_grad_norm(0.005))
    return Differs(off(array(leaf.grad), naive), off(array(leaf.grad), plain, mine))


def structurally_zero():
    """Adam: a bias in front of BatchNorm, in float32
    torch: its gradient is nothing but round-off, and Adam divides by its size
    jax: other round-off: after one step two right programs differ by a good part of the learning rate
    do: leave such arrays out of the comparison and say so, as jaxgen verify does; shown: the bias, then the weight, in
    units of the rate
    """
    x, w, b, t = (normal(*shape).astype(np.float32) for shape in ((64, 16), (32, 16), (32,), (64, 32)))
    leaves = [tensor(w, grad=True), tensor(b, grad=True)]
    y = torch.nn.functional.batch_norm(torch.nn.functional.linear(tensor(x), *leaves), None, None, training=True)
    ((y - tensor(t)) ** 2).mean().backward()
    torch.optim.Adam(leaves, 1e-3).step()

    def loss(params):
        y = x @ params[0].T + params[1]
        y = (y - y.mean(0)) * jax.lax.rsqrt(y.var(0) + 1e-5)
        return ((y - t) ** 2).mean()

    tx = optax.adam(1e-3)
    moves, _ = quick(lambda params: tx.update(jax.grad(loss)(params), tx.init(params)), [w, b])
    weight, bias = (np.abs(array(a) - c - m).max() / 1e-3 for a, c, m in zip(leaves, (w, b), moves, strict=True))
    return Differs([float(bias)], [float(weight)], bound=3e-3, least=0.02)  # float32; a weight's gradient may be small
