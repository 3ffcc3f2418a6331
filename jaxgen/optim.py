"""What stands around a player's optimiser: clipping before it, a schedule of the learning rate behind it."""

from typing import Literal

import jax
import jax.numpy as jnp
import optax

from jaxgen.errors import UserError

Schedule = Literal["constant", "linear", "cosine"]


def build(family, txs, *, clip=0.0, schedule: Schedule = "constant", warmup=0, steps=0):
    """{player: its optax transformation, with gradients clipped to the norm `clip` (0: not at all) and the rate times
    `factor(schedule, warmup, steps)`}. With nothing asked for the transformations are those given."""
    if clip < 0:
        raise UserError(f"clip: expected a norm, or 0 for none, got {clip}.")
    before = [clip_grad_norm(clip)] if clip else []

    def after(player):
        if schedule == "constant" and not warmup:
            return []
        # To multiply the update is to multiply the rate wherever the rate is an optimiser's last word: in sgd, adam,
        # adamw with its decay, lion, rmsprop and most others; not in adafactor's decay, nor in a line search.
        curve = factor(schedule, warmup, steps)
        # An optimiser counts its own updates, of which a player who plays often makes several a step.
        return [optax.scale_by_schedule(lambda count: curve(count // player.times))]

    parts = {name: [*before, tx, *after(family.players[name])] for name, tx in txs.items()}
    return {name: optax.chain(*chain) if len(chain) > 1 else chain[0] for name, chain in parts.items()}


def clip_grad_norm(max_norm):
    """torch's clip_grad_norm_: all gradients of a player times min(1, max_norm / (norm + 1e-6)). optax's own has no
    1e-6, and differs by as much relative to the norm."""

    def clipped(grads, params):
        del params
        factor = jnp.minimum(1.0, max_norm / (optax.tree.norm(grads) + 1e-6))
        return jax.tree.map(lambda g: factor * g, grads)

    return optax.stateless(clipped)


def factor(schedule: Schedule, warmup=0, steps=0):
    """step -> what the learning rate is multiplied with. With w = warmup and T = steps, in the step t = 0, 1, ...:

        (t + 1) / (w + 1)                   for t < w; from there, with u = min(1, (t - w) / (T - w)),
        1 | 1 - u | (1 + cos(pi u)) / 2     constant | linear | cosine (Loshchilov & Hutter, 2017).

    These are torch's LinearLR(1 / (w + 1), 1, w), then LinearLR(1, 0, T - w) or CosineAnnealingLR(T - w)."""
    if warmup < 0:
        raise UserError(f"warmup: expected at least 0 steps, got {warmup}.")
    if schedule != "constant" and steps <= warmup:
        raise UserError(f"schedule {schedule}: a warm-up of {warmup} steps leaves none of {steps} to decay in.")
    rise, left = optax.linear_schedule(1 / (warmup + 1), 1.0, warmup), steps - warmup
    fall = {
        "constant": lambda: optax.constant_schedule(1.0),
        "linear": lambda: optax.linear_schedule(1.0, 0.0, left),
        "cosine": lambda: optax.cosine_decay_schedule(1.0, left),
    }
    if schedule not in fall:
        raise UserError(f"unknown schedule {schedule!r}. There are {', '.join(fall)}.")
    curve = optax.join_schedules([rise, fall[schedule]()], [warmup])
    return lambda step: curve(jnp.asarray(step, float))  # of an integer optax makes a float32, also in float64
