"""Averages, schedules, the order of steps"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen import optim
from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Differs, off
from jaxgen.parity.semantics.sides import array, normal, quick, tensor

torch = needs("torch", "verify")


def ema():
    """Average of the weights (EMA)
    torch: AveragedModel with get_ema_multi_avg_fn(d): begins as a copy, then d old + (1 - d) new
    jax: optax.ema begins at 0 and divides by 1 - d^t (debias=True)
    do: begin as a copy; optax.incremental_update(new, old, 1 - d)
    """
    layer, d, steps = torch.nn.Linear(4, 1, bias=False).double(), 0.9, normal(6, 1, 4)
    averaging = torch.optim.swa_utils.get_ema_multi_avg_fn(d)
    average = torch.optim.swa_utils.AveragedModel(layer, multi_avg_fn=averaging)
    for value in steps:
        with torch.no_grad():
            layer.weight.copy_(tensor(value))
        average.update_parameters(layer)

    def both(steps):
        tx, mapped = optax.ema(d), steps[0]
        naive, state = tx.update(mapped, tx.init(mapped))
        for value in steps[1:]:
            naive, state = tx.update(value, state)
            mapped = optax.incremental_update(value, mapped, 1 - d)
        return naive, mapped

    naive, mapped = quick(both, steps)
    return Differs(off(array(average.module.weight), naive), off(array(average.module.weight), mapped))


def _rates(make, steps):
    """torch's learning rate in each step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


def cosine():
    """CosineAnnealingLR(T_max, eta_min)
    torch: rises again after T_max
    jax: optax.cosine_decay_schedule stays; until T_max they agree
    do: eta_min + (lr - eta_min) (1 + cos(pi t / T_max)) / 2; until T_max alpha=eta_min / lr
    """
    want = _rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10, 0.01), 16)
    t = np.arange(16)
    stock = quick(optax.cosine_decay_schedule(0.1, 10, alpha=0.1), t.astype(float))
    mapped = 0.01 + 0.09 * (1 + np.cos(np.pi * t / 10)) / 2
    return Differs(off(want[11:], stock[11:]), off(want, mapped) + off(want[:11], stock[:11]))


def first_step():
    """Schedules: the first step
    torch: counts from 0; the rate of a step is that before scheduler.step()
    jax: optax reads its count, from 0, before it counts: the same; a loop that counts from 1 is one step ahead
    do: schedule(count), not schedule(count + 1); or jaxgen.optim.factor
    """
    want = _rates(lambda o: torch.optim.lr_scheduler.LinearLR(o, 1 / 6, 1.0, 5), 8)
    schedule = optax.linear_schedule(0.1 / 6, 0.1, 5)
    tx = optax.sgd(schedule)

    def rates(g):
        _, found = jax.lax.scan(lambda state, g: tx.update(g, state)[::-1], tx.init(g[0]), g)
        return -found, schedule(jnp.arange(1.0, 9.0)), 0.1 * optim.factor("constant", warmup=5)(jnp.arange(8))

    stock, ahead, mine = quick(rates, np.ones(8))
    return Differs(off(want, ahead), off(want, stock, mine), bound=1e-7)  # optax divides its count in float32


def _d_loss(d, fake, real):
    """Of the smallest GAN there is: D(x) = d x, G(z) = g z, least squares."""
    return ((d * real - 1) ** 2 + (d * fake) ** 2).mean()


def _g_loss(d, fake):
    return ((d * fake - 1) ** 2).mean()


REAL, NOISE, RATE, STEPS = normal(9) + 2, normal(9, seed=1), 0.1, 3


def _torch_gan(order):
    """d, g after some steps of a loop as documents print it; images are drawn once a step."""
    d, g = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.3, 0.7))
    optimizers = {"disc": torch.optim.SGD([d], RATE), "gen": torch.optim.SGD([g], RATE)}
    for _ in range(STEPS):
        fake = g * tensor(NOISE)
        for player in order:
            optimizers[player].zero_grad()
            loss = _d_loss(d, fake.detach(), tensor(REAL)) if player == "disc" else _g_loss(d, fake)
            loss.backward()
            optimizers[player].step()
    return np.stack([array(d), array(g)])


def _jax_gan(step):
    """The same by step(d, g) -> d, g."""

    def run(d, g):
        for _ in range(STEPS):
            d, g = step(d, g)
        return jnp.stack([d, g])

    return quick(run, 0.3, 0.7)


def _disc(d, g):
    return d - RATE * jax.grad(_d_loss)(d, g * NOISE, REAL)


def _gen(d, g):
    return g - RATE * jax.grad(lambda g: _g_loss(d, g * NOISE))(g)


def disc_first():
    """GAN step: discriminator first
    torch: G's loss uses the updated D
    jax: both gradients at the old parameters, in one jax.grad, are another algorithm
    do: update D, then differentiate G's loss at the new D
    """
    want = _torch_gan(["disc", "gen"])
    naive = _jax_gan(lambda d, g: (_disc(d, g), _gen(d, g)))
    return Differs(off(want, naive), off(want, _jax_gan(lambda d, g: (_disc(d, g), _gen(_disc(d, g), g)))))


def gen_first():
    """GAN step: generator first (PyTorch-GAN's gan.py)
    torch: D then sees the images drawn before G's step (gen_imgs.detach()); zero_grad clears what G's backward left
    jax: drawing D's images anew uses the new G; the gradient of the summed losses lets G's move D
    do: keep G's old images for D's loss, and differentiate that alone
    """
    want = _torch_gan(["gen", "disc"])
    anew = _jax_gan(lambda d, g: (_disc(d, _gen(d, g)), _gen(d, g)))
    left = lambda d, g: RATE * jax.grad(_g_loss)(d, g * NOISE)
    summed = _jax_gan(lambda d, g: (_disc(d, g) - left(d, g), _gen(d, g)))
    return Differs(off(want, anew, summed), off(want, _jax_gan(lambda d, g: (_disc(d, g), _gen(d, g)))))
