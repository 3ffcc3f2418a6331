"""What the families of diffusion share: images with labels or without, and the noise that they are sampled from.

A family has `size`, `channels`, `classes` (0: no labels), `hidden` (the share of labels that training hides; the label
`classes` stands for none), `steps` and `eta` of its sampler and `scale` of guidance."""

import jax
import jax.numpy as jnp

from jaxgen import noise
from jaxgen.core import Input
from jaxgen.errors import UserError


def shape(family):
    return family.size, family.size, family.channels


def inputs(family, batch):
    label = {"label": Input((batch,), high=family.classes - 1, dtype="int32")} if family.classes else {}
    return {"image": Input((batch, *shape(family)), low=-1.0), **label}


def hiding(family, key, rows):
    """The draw that decides whose label is hidden."""
    return {"hide": jax.random.uniform(key, (rows,))} if family.classes else {}


def seen(family, batch, draws):
    """The labels that the network is told in training."""
    if not family.classes:
        return None
    return jnp.where(draws["hide"] < family.hidden, family.classes, batch["label"])


def draw_sample(family, key, count, first, noisy):
    """`noisy`: the sampler adds noise at its steps."""
    start, steps = jax.random.split(key)
    draws = {"start": noise.normal(start, count, *shape(family), first=first)}
    draws |= {"steps": noise.keys(steps, count, first)} if noisy else {}
    return draws | ({"label": (first + jnp.arange(count)) % family.classes} if family.classes else {})


def written(family, draws):
    """With the noise of each step as arrays, for those who cannot make it of keys."""
    if "steps" not in draws:
        return draws
    return draws | {"steps": noise.written(draws["steps"], family.steps, shape(family))}


def of_step(family, draws):
    """-> i -> the noise of step i; None where the sampler adds none."""
    return noise.of_step(draws["steps"], shape(family)) if "steps" in draws else None


def check(family):
    """What would be found out only when images are sampled."""
    if family.scale != 1 and not family.classes:
        raise UserError(f"guidance {family.scale}: there is no condition to guide by; train with classes, or leave it.")
    for name, value in (("eta", family.eta), ("hidden", family.hidden)):
        if not 0 <= value <= 1:
            raise UserError(f"{name}: expected 0 to 1, got {value}.")
