"""What a user says of a map: pairs of layers, steps for a tensor, whole rules, tensors that one side has not."""

from dataclasses import dataclass, field, replace

import numpy as np

from jaxgen.errors import UserError
from jaxgen.parity.maps import algebra
from jaxgen.parity.maps.weight_map import Rule, nearest


@dataclass(frozen=True)
class Constant:
    """A tensor that the other side has not."""

    fill: float
    reason: str


def constant(fill=0.0, reason="the other side has no such tensor"):
    return Constant(fill, reason)


@dataclass
class Overrides:
    layers: dict[str, str] = field(default_factory=dict)
    steps: dict[str, tuple[algebra.Step, ...]] = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)

    @property
    def claimed(self):
        return {name for rule in self.rules for name in (*rule.torch, *rule.jax)}


def read(given, theirs, ours) -> Overrides:
    """Each entry by what its value is; a name that nobody has is refused."""
    names = [{name for layer in side.values() for name, _ in layer.tensors.values()} for side in (theirs, ours)]
    found = Overrides()
    for key, value in (given or {}).items():
        if isinstance(value, str):
            known(key, theirs, "PyTorch layer")
            known(value, ours, "JAX layer")
            found.layers[key] = value
        elif isinstance(value, Rule):
            for name in value.torch:
                known(name, names[0], "PyTorch tensor")
            for path in value.jax:
                known(path, names[1], "JAX tensor")
            found.rules.append(replace(value, reason=value.reason or "given"))
        elif isinstance(value, Constant):
            known(key, names[0] | names[1], "tensor")
            there, here = ((key,) if key in some else () for some in (names[0], names[1] - names[0]))
            found.rules.append(Rule(there, here, reason=value.reason, fill=value.fill))
        else:
            known(key, names[0], "PyTorch tensor")
            found.steps[key] = steps_of(key, value)
    return found


def known(name, names, what):
    if name not in names:
        raise UserError(f"overrides: there is no {what} {name!r}{nearest(name, names)}.")


def steps_of(key, value):
    steps = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not all(isinstance(step, algebra.Step) for step in steps):
        raise UserError(
            f"overrides: {key}: expected a JAX layer's path, steps such as permute(1, 0), a Rule or constant(0.0), "
            f"got {value!r}."
        )
    return steps


def first(part, steps, shapes):
    """A part with the given steps before the others, which a probe will compare with them."""
    made = [x.shape for x in algebra.applied(steps, [np.empty(shapes[name], bool) for name in part.torch])]
    want = [shapes[path] for path in part.jax]
    if made != want:
        raise UserError(f"overrides: {part.torch[0]}: {algebra.told(steps)} gives {made}, but {part.jax} need {want}.")
    others = tuple(way for way in part.options if way != steps)
    return replace(part, options=(steps, *others), given=True)
