"""The map between a state_dict and the arrays of a Flax model: which tensor becomes which array, by what, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxgen import weights
from jaxgen.errors import UserError, needs
from jaxgen.parity.maps import algebra, show

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Rule:
    """Tensors of one side, the steps, and the arrays that they become.

    A rule with one side alone: `fill` is what stands in a tensor that the other side has not; `same_as` names the
    tensor of which this one is but another name."""

    torch: tuple[str, ...]
    jax: tuple[str, ...]
    steps: tuple[algebra.Step, ...] = ()
    reason: str = ""
    fill: float | None = None
    same_as: str | None = None

    @property
    def text(self):
        if self.same_as:
            return f"the same as {self.same_as}"
        return (
            algebra.told(self.steps) if self.fill is None else "dropped" if self.torch else f"filled with {self.fill}"
        )


@dataclass(frozen=True)
class WeightMap:
    """`torch` and `jax` are the shapes of the two sides; `layers` pairs the paths of their layers. `takes` and `gives`
    tell of which torch layers the features come, or go, in another order in JAX: a Fold of their last axis."""

    rules: tuple[Rule, ...]
    torch: Shapes
    jax: Shapes
    layers: dict[str, str] = field(default_factory=dict)
    takes: dict[str, algebra.Fold] = field(default_factory=dict)
    gives: dict[str, algebra.Fold] = field(default_factory=dict)

    def names(self, torch_path):
        """The path of the JAX layer that stands for a module."""
        if torch_path not in self.layers:
            raise UserError(f"weight map: no layer {torch_path!r}{nearest(torch_path, self.layers)}.")
        return self.layers[torch_path]

    def to_jax(self, state_dict: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """{JAX path: array}, each of the dtype given. Every tensor must be there, and no other."""
        have = {key: array(x) for key, x in state_dict.items()}
        made: dict[str, np.ndarray] = {}
        match("state_dict", have, self.torch)
        for rule in self.rules:
            if rule.same_as and not np.array_equal(have[rule.torch[0]], have[rule.same_as]):
                raise UserError(
                    f"state_dict: {rule.torch[0]} and {rule.same_as} are one tensor, but their values differ."
                )
            if rule.fill is not None:
                made |= filled(rule.fill, rule.jax, self.jax, have)
            elif rule.jax:
                made |= named(rule.jax, algebra.applied(rule.steps, [have[name] for name in rule.torch]), rule)
        match("JAX arrays made by the weight map", made, self.jax)
        return {path: made[path] for path in self.jax}

    def to_torch(self, flat: Mapping[str, Any], dropped: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
        """The state_dict, as NumPy arrays. `dropped` are values of tensors that JAX has not, else as declared."""
        have = {key: array(x) for key, x in flat.items()}
        made: dict[str, np.ndarray] = {}
        match("JAX arrays", have, self.jax)
        for rule in self.rules:
            if rule.fill is not None:
                made |= filled(rule.fill, rule.torch, self.torch, have)
            elif rule.jax:
                shapes = [self.torch[name] for name in rule.torch]
                made |= named(rule.torch, algebra.undone(rule.steps, [have[path] for path in rule.jax], shapes), rule)
        match("dropped", given := {key: array(x) for key, x in (dropped or {}).items()}, self.dropped(given))
        made |= given
        made |= {rule.torch[0]: made[rule.same_as].copy() for rule in self.rules if rule.same_as}
        match("state_dict made by the weight map", made, self.torch)
        return {name: made[name] for name in self.torch}

    def dropped(self, given):
        """The shapes of the tensors that JAX has not, of those given."""
        names = {name for rule in self.rules if rule.fill is not None for name in rule.torch}
        return {name: self.torch[name] for name in names & given.keys()}

    def check(self):
        """Itself, if every element of both sides is used exactly once and the way there and back is bitwise."""
        for side, want, names in (
            ("torch", self.torch, [name for rule in self.rules for name in rule.torch]),
            ("JAX", self.jax, [name for rule in self.rules for name in rule.jax]),
        ):
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise UserError(f"weight map: the {side} tensor {twice[0]} is used by more than one rule.")
            if odd := sorted(want.keys() ^ set(names)):
                what = "no rule uses the" if odd[0] in want else "a rule names an unknown"
                rest = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
                raise UserError(f"weight map: {what} {side} tensor {odd[0]}{rest}.")
        self.check_elements()
        return self

    def check_elements(self):
        """Every element gets a number; none may be lost, doubled or elsewhere after the way there and back."""
        numbers = numbered(self.torch)
        numbers |= {rule.torch[0]: numbers[rule.same_as] for rule in self.rules if rule.same_as}
        arrays = self.to_jax(numbers)
        for rule in (rule for rule in self.rules if rule.torch and rule.jax):
            before = np.concatenate([numbers[name].ravel() for name in rule.torch])
            after = np.concatenate([arrays[path].ravel() for path in rule.jax])
            if not np.array_equal(np.sort(before), np.sort(after)):
                raise UserError(f"weight map: {rule.text}: not every element of {rule.torch[0]} is used exactly once.")
        again = self.to_torch(arrays, {name: numbers[name] for name in self.dropped(numbers)})
        if moved := [name for name in self.torch if not np.array_equal(again[name], numbers[name])]:
            raise UserError(f"weight map: {moved[0]} is not the same after the way there and back.")

    def rows(self):
        return show.rows(self)

    def table(self):
        return show.table(self)

    def to_json(self):
        return show.to_json(self)

    @classmethod
    def from_json(cls, entries):
        rules = tuple(Rule(**entry) for entry in show.read_rules(entries))
        shapes = [show.read_shapes(entries[side]) for side in ("torch", "jax")]
        folds = [{path: algebra.Fold(-1, tuple(x)) for path, x in entries[way].items()} for way in ("takes", "gives")]
        return cls(rules, *shapes, dict(entries["layers"]), *folds)


def nearest(name, names):
    near = get_close_matches(name, list(names), 1, 0.5)
    return f" (nearest: {near[0]})" if near else ""


def match(what, have, want):
    """The very names and shapes."""
    missing, unexpected = sorted(want.keys() - have.keys()), sorted(have.keys() - want.keys())
    if missing or unexpected:
        raise UserError(f"{what}: {'; '.join(weights.strangers(missing, unexpected))}.")
    for name, shape in want.items():
        if have[name].shape != tuple(shape):
            raise UserError(f"{what}: {name}: expected the shape {tuple(shape)}, got {have[name].shape}.")


def named(names, arrays, rule):
    if len(names) != len(arrays):
        raise UserError(f"weight map: {rule.text}: gives {len(arrays)} arrays for {', '.join(names)}.")
    return {name: np.array(x, order="C") for name, x in zip(names, arrays, strict=True)}


def filled(fill, names, shapes, others):
    """A count is an integer, as in torch; all else has the float type of the other tensors."""
    floats = [x.dtype for x in others.values() if not np.issubdtype(x.dtype, np.integer)]
    dtype = np.int64 if isinstance(fill, int) else floats[0] if floats else float
    return {name: np.full(shapes[name], fill, dtype) for name in names}


def numbered(shapes):
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
    return {
        name: np.arange(end - int(np.prod(shape)), end).reshape(shape)
        for end, (name, shape) in zip(ends, shapes.items(), strict=True)
    }


def array(x):
    """A tensor of either side as NumPy has it; bfloat16 too, which torch does not hand over itself."""
    if not hasattr(x, "detach"):
        return np.asarray(x)
    x, torch = x.detach().cpu(), needs("torch", "verify")
    return x.view(torch.int16).numpy().view(jnp.bfloat16) if x.dtype == torch.bfloat16 else x.numpy()
