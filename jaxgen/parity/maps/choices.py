"""What is done to each tensor of the paired layers, and why."""

from typing import NamedTuple

from jaxgen.parity.maps import algebra, models
from jaxgen.parity.maps.algebra import Fold
from jaxgen.parity.maps.flatten import folds
from jaxgen.parity.maps.overrides import first
from jaxgen.parity.maps.parts import Part
from jaxgen.parity.maps.probe import probed
from jaxgen.parity.maps.weight_map import Rule


class Chosen(NamedTuple):
    """A part of the layer at a torch path, with the steps taken."""

    layer: str
    part: Part
    steps: tuple[algebra.Step, ...]
    reason: str

    def because(self, text):
        return self._replace(reason="; ".join(filter(None, [self.reason, text])))

    def made(self, state_dict):
        return made(self.part, self.steps, state_dict)


def made(part, steps, state_dict):
    """{JAX path: array}."""
    return dict(zip(part.jax, algebra.applied(steps, [state_dict[name] for name in part.torch]), strict=True))


def choices(pairs, model, calls, given):
    """Layer by layer; a layer alone tells which layout is right."""
    shapes = {
        name: shape for side in (pairs.theirs, pairs.ours) for x in side.values() for name, shape in x.tensors.values()
    }
    for a, b in pairs.partner.items():
        mine = lambda part: first(part, given.steps[part.torch[0]], shapes) if part.torch[0] in given.steps else part
        parts = [mine(part) for part in pairs.parts(a, b)]
        yield from (Chosen(a, *one) for one in probed(pairs.theirs[a], pairs.ours[b], parts, model, calls))


def alone(found, context):
    """Tensors of a module that holds other layers cannot be probed without these: the model runs with each layout."""
    state_dict = context.trace.state_dict
    for i, one in enumerate(found):
        if context.pairs.theirs[one.layer].inner and len(one.part.options) > 1 and not one.part.given:
            ways = [one._replace(steps=steps) for steps in one.part.options]
            runs = [context.run({}, models.put(context.model, way.made(state_dict))) for way in ways]
            choice = context.choose(runs)
            found[i] = ways[choice.taken].because(choice.text)
    return found


def unfolded(found, context):
    """With the order of flattened features: a Linear's weight is (out, in), all else has one axis of features."""
    ins, outs, reasons = folds(context, {choice.layer for choice in found if choice.part.given})

    def one(choice):
        path, (name, *_) = choice.layer, choice.part.torch
        wide = context.pairs.theirs[path].kind == "linear" and name.endswith("weight")
        sides = [(0, outs.get(path)), *([(1, ins.get(path))] if wide else [])]
        steps = [Fold(axis, fold.shape) for axis, fold in sides if fold]
        return choice._replace(steps=(*steps, *choice.steps)).because(reasons.get(path) if wide or steps else "")

    return [one(choice) for choice in found]


def orders(pairs, found):
    """-> takes, gives: {torch path: Fold} of the features of its inputs, and of its outputs."""
    takes, gives = {}, {}
    for path, part, steps, _ in found:
        for step in steps:
            if isinstance(step, Fold) and part.torch[0].endswith("weight"):
                linear, fold = pairs.theirs[path].kind == "linear", Fold(-1, step.shape)
                takes |= {} if linear and step.axis == 0 else {path: fold}
                gives |= {} if linear and step.axis != 0 else {path: fold}
    return takes, gives


def rule(pairs, choice):
    return Rule(
        choice.part.torch, choice.part.jax, choice.steps, f"{pairs.reason[choice.layer]}; {choice.reason}".rstrip("; ")
    )
