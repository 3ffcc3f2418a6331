"""Optimisers, over 60 steps"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, off
from jaxgen.parity.semantics.sides import array, quick, tensor
from jaxgen.parity.semantics.steps import PULLS, START, optax_steps, torch_steps

torch = needs("torch", "verify")


def adam():
    """Adam
    torch: torch.optim.Adam(lr, betas, eps)
    jax: optax.adam(lr, b1, b2, eps), the same defaults
    do: nothing
    """
    return Agrees(off(torch_steps(lambda p: torch.optim.Adam(p, 0.1)), optax_steps(optax.adam(0.1))))


def adam_eps():
    """Adam: eps
    torch: added to the root
    jax: optax has eps (the same) and eps_root (under the root)
    do: eps=1e-8, eps_root=0
    """
    want = torch_steps(lambda p: torch.optim.Adam(p, 0.1, eps=1e-3))
    naive, mapped = optax.adam(0.1, eps=0, eps_root=1e-3), optax.adam(0.1, eps=1e-3)
    return Differs(off(want, optax_steps(naive)), off(want, optax_steps(mapped)))


def adam_first_step():
    """Adam: the first update, in float32
    torch: 1 - b^t in float64
    jax: optax takes it in float32, so the first update is off by 7e-6 of the rate, which biases that begin at 0 show
    do: know it; -expm1(t log(b)) keeps the digits
    """
    g = np.float32([0.3, -0.7, 1.1])
    leaf = torch.zeros(3, requires_grad=True)
    leaf.grad = tensor(g)
    torch.optim.Adam([leaf], 1.0, eps=0).step()
    tx = optax.adam(1.0, eps=0)

    def updates(g, t):
        m, v = (1 - 0.9) * g, (1 - 0.999) * g * g
        right = lambda b: -jnp.expm1(t * np.log(b).item())
        return tx.update(g, tx.init(g))[0], -(m / right(0.9)) / jnp.sqrt(v / right(0.999))

    with jax.enable_x64(False):
        naive, mapped = quick(updates, g, np.float32(1))
    return Differs(off(-np.sign(g), naive), off(-np.sign(g), leaf.detach(), mapped), bound=5e-7)  # float32


def adam_weight_decay():
    """Adam(weight_decay=w)
    torch: w times the weight joins the gradient
    jax: optax.adamw(weight_decay=w) is AdamW
    do: optax.chain(optax.add_decayed_weights(w), optax.adam(lr))
    """
    want = torch_steps(lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.1))
    mapped = optax.chain(optax.add_decayed_weights(0.1), optax.adam(0.1))
    return Differs(off(want, optax_steps(optax.adamw(0.1, weight_decay=0.1))), off(want, optax_steps(mapped)))


def adamw():
    """AdamW: weight_decay
    torch: 1e-2
    jax: 1e-4
    do: optax.adamw(lr, weight_decay=1e-2)
    """
    want = torch_steps(lambda p: torch.optim.AdamW(p, 0.1))
    stated = torch_steps(lambda p: torch.optim.AdamW(p, 0.1, weight_decay=1e-4))
    default, mapped = optax_steps(optax.adamw(0.1)), optax_steps(optax.adamw(0.1, weight_decay=1e-2))
    return Differs(off(want, default), off(want, mapped), stated=off(stated, default))


def decay_mask():
    """AdamW: which arrays decay
    torch: all, biases and norms too, unless in a group with weight_decay=0
    jax: all, unless a mask
    do: optax.adamw(lr, weight_decay=w, mask=tree of bools), True where torch's group has w
    """
    w, b = (tensor(x, grad=True) for x in (START, -START))
    groups = [{"params": [w], "weight_decay": 0.1}, {"params": [b], "weight_decay": 0.0}]
    optimizer, params = torch.optim.AdamW(groups, 0.1), {"w": START, "b": -START}
    w.grad, b.grad = tensor(PULLS[0]), tensor(PULLS[1])
    optimizer.step()
    grads, want = {"w": PULLS[0], "b": PULLS[1]}, np.stack([array(w), array(b)])

    def stepped(**how):
        tx = optax.adamw(0.1, weight_decay=0.1, **how)
        moved = quick(lambda params: optax.apply_updates(params, tx.update(grads, tx.init(params), params)[0]), params)
        return np.stack([moved["w"], moved["b"]])

    return Differs(off(want, stepped()), off(want, stepped(mask={"w": True, "b": False})))


def sgd():
    """SGD(momentum, nesterov)
    torch: torch.optim.SGD(lr, momentum, nesterov)
    jax: optax.sgd(lr, momentum, nesterov) does the same
    do: nothing
    """
    theirs = lambda *how: torch_steps(lambda p: torch.optim.SGD(p, *how[:2], nesterov=how[2]))
    cases = (0.1, 0.0, False), (0.1, 0.9, False), (0.1, 0.9, True)  # rate, momentum, nesterov
    return Agrees([e for how in cases for e in off(theirs(*how), optax_steps(optax.sgd(*how)))])


def sgd_dampening():
    """SGD(dampening=d)
    torch: the momentum takes 1 - d of each gradient but the first, which it takes whole
    jax: optax.sgd has no such argument
    do: optax.chain(optax.scale_by_schedule(c), optax.trace(m), optax.scale(-lr)), c = 1 at count 0, then 1 - d
    """
    want, m, d = torch_steps(lambda p: torch.optim.SGD(p, 0.1, 0.9, dampening=0.5)), 0.9, 0.5
    scaled = optax.scale_by_schedule(lambda count: jnp.where(count == 0, 1.0, 1 - d))
    mapped = optax.chain(scaled, optax.trace(m), optax.scale(-0.1))
    return Differs(off(want, optax_steps(optax.sgd(0.1, m))), off(want, optax_steps(mapped)))
