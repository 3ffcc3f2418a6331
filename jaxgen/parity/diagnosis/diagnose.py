"""Which layer is wrong, and why: each layer of the port is given what its torch partner was given (teacher forcing,
forward and backward), so an error is its own and not inherited; then altered torch layers are tried on the first."""

from typing import NamedTuple

import jax
import numpy as np
import torch

from jaxgen.parity import levels, pairs, sides
from jaxgen.parity.compare import FORWARD, error
from jaxgen.parity.diagnosis import calls, norms, reference
from jaxgen.parity.diagnosis.hypotheses import hypotheses
from jaxgen.parity.diagnosis.ports import port
from jaxgen.parity.setting import Setting
from jaxgen.parity.verify import verify

NOTHING = "nothing differs"


class Diagnosis(NamedTuple):
    """`layer` is None where no layer is wrong by itself: then `between` names the layers around the fault. `phase` is
    forward, statistics or backward; `tried` counts the hypotheses."""

    layer: str | None
    kind: str = ""
    phase: str = ""
    local: float = 0.0
    inherited: float = 0.0
    cause: str = ""
    told: str = ""
    cure: str = ""
    tried: int = 0
    where: str = ""

    @property
    def found(self):
        return self.layer is not None

    @property
    def nothing(self):
        return self.told == NOTHING

    def to_json(self):
        told = self._asdict()
        return told | {"cause": self.told, "key": self.cause, "text": str(self)}

    def __str__(self):
        if not self.found:
            return self.told
        seen = f"{self.phase}{f', {self.where}' if self.where else ''}: its own error {self.local:.1e}"
        inherited = f", inherited {self.inherited:.1e}"
        return f"{self.kind} {self.layer} ({seen}{inherited}): {self.told}; {self.cure}"


class Answer(NamedTuple):
    """How far the port's layer is from its partner when both are given the same."""

    call: calls.Call
    have: dict
    want: dict
    errors: dict[str, float]  # of each part of the answer

    def local(self, phase):
        part = {"forward": "output", "statistics": "statistic", "backward": "gradient"}[phase]
        return max((x for name, x in self.errors.items() if name.startswith(part)), default=0.0)


def diagnose(case, result=None) -> Diagnosis:
    """The first layer that is wrong by itself, its cause and the cure; or what stands between the layers. `result` is
    that of `verify(case)`, made anew where it is not given."""
    result = result or verify(case, trajectory=0)
    failed = {row.level: row for row in result if not row.ok}
    if not failed:
        return Diagnosis(None, told=NOTHING)
    if "names" in failed:
        return Diagnosis(None, told=f"the weights differ at {failed['names'].where}: names, shapes or types")
    with jax.enable_x64(True):
        setting = Setting(case)
        return faulty_layer(setting) or elsewhere(setting, failed)


def faulty_layer(setting):
    """In training, then in evaluation, then given kinks and ties."""
    answer = port(setting)
    made = lambda training: [
        call for name in setting.family.players for call in calls.recorded(setting, name, setting.turn(), training)
    ]
    train = made(True)
    for where, given in (("", train), ("in evaluation", made(False)), ("given ties", [tied(call) for call in train])):
        answers = [x for call in given if (x := answered(call, answer))]
        for phase in ("forward", "statistics", "backward"):
            if first := next((x for x in answers if not x.local(phase) <= FORWARD), None):
                return explained(setting, first, phase, where)
    return next(filter(None, (imprecise(call, answer) for call in train)), None)


ROUGH = 20  # times PyTorch's own error


def imprecise(call, answer):
    """What float64 cannot see: E[x^2] - E[x]^2 is the same variance, and keeps no digit of it in float32 when the mean
    is large."""
    if not isinstance(call.module, norms.NORMS):
        return None
    far = call.args[0].float() + 1000
    single = {name: x.float() for name, x in call.buffers.items()}
    true = reference.respond(call._replace(args=(far.double(),)), slopes=False)["output"]
    low = call._replace(args=(far,), buffers=single, slope=None)
    with jax.enable_x64(False):
        have = answer(low)
    if not have:
        return None
    theirs = reference.respond(low, change=lambda module: module.float(), slopes=False)["output"]
    scale = np.abs(true).max()
    ours, other = (float(np.sqrt(((x - true) ** 2).mean()) / scale) for x in (have["output"], theirs))
    if ours <= ROUGH * other + FORWARD:
        return None
    told = f"float32 keeps {ours:.0e} of the output at a mean of 1000, torch {other:.0e}: E[x^2] - E[x]^2"
    seen = dict(layer=call.path, kind=call.kind, phase="float32", local=ours, where="large mean")
    return Diagnosis(**seen, cause="variance in one pass", told=told, cure="use_fast_variance=False", tried=1)


def tied(call):
    """The call with rounded inputs: maxima are shared, and many stand exactly on a kink."""
    first, *rest = call.args
    first = first.round().clamp(-1, 1) if first.is_floating_point() else first
    slope = call.slope if call.slope is not None else torch.ones_like(call.output)
    return call._replace(args=(first, *rest), slope=slope)


def answered(call, answer):
    """What the port's layer and its partner answer, None where there is no such layer in the port."""
    if not (have := answer(call)):
        return None
    want = reference.respond(call)
    return Answer(call, have, want, apart(call, have, want))


def layers(setting, outputs):
    """For a report: each layer's error in the port's own run (`outputs`, a row) and by itself, both ways."""
    answer = port(setting)
    for name in setting.family.players:
        given = calls.recorded(setting, name, setting.turn())
        for each in (x for call in given if (x := answered(call, answer))):
            call = each.call
            told = {"path": call.path, "kind": call.kind, "call": call.number, "player": name}
            told |= {
                "shape": list(call.output.shape),
                "local": each.local("forward"),
                "backward": each.local("backward"),
            }
            yield told | {"error": outputs.errors.get(f"{name}: {call.path} (call {call.number})", 0.0)}


def apart(call, have, want):
    """A gradient that is zero but for round-off has the scale of what was summed."""
    floor = 1e-4 * float(np.abs(pairs.array(call.slope)).sum()) if call.slope is not None else 0.0
    scale = lambda name: floor if name.startswith("gradient by ") else 0.0
    return {name: error(have[name], want[name], floor=scale(name)) for name in want if name in have}


def explained(setting, answer, phase, where):
    call, tried = answer.call, 0
    told = dict(layer=call.path, kind=call.kind, phase=phase, local=answer.local(phase), where=where)
    told["inherited"] = inherited(setting, call)
    for each in hypotheses(call):
        tried += 1
        if fits(answer, each):
            return Diagnosis(**told, cause=each.cause, told=each.told, cure=each.cure, tried=tried)
    return Diagnosis(**told, told=seen(answer), cure="compare the two definitions of this layer", tried=tried)


def fits(answer, hypothesis):
    """Whether the altered torch layer answers as the port's does, in all that both tell."""
    try:
        like = reference.respond(answer.call, hypothesis.run, hypothesis.change)
    except (RuntimeError, ValueError):  # this layer cannot be altered so
        return False
    errors = apart(answer.call, answer.have, like)
    return answer.errors.keys() <= errors.keys() and max(errors.values()) <= FORWARD


def seen(answer):
    """What can be said without a hypothesis."""
    have, want = answer.have["output"], answer.want["output"]
    if have.shape != want.shape:
        return f"gives {have.shape}, torch gives {want.shape}"
    return relation(have, want) or f"differs by up to {np.nanmax(np.abs(have - want)):.1e} and fits no hypothesis"


def relation(have, want):
    """A factor, a shift or another order, where it is one of these."""
    scale = np.abs(want).max() or 1.0
    near = lambda x, y: np.abs(x - y).max() <= FORWARD * scale
    factor = float((have * want).sum() / max((want * want).sum(), 1e-300))
    if near(have, want):
        return ""
    if near(have, factor * want):
        return f"is {factor:.6g} times the reference"
    if near(have, want + (have - want).mean()):
        return f"is the reference and {(have - want).mean():.6g} more"
    if near(np.sort(have, axis=None), np.sort(want, axis=None)):
        return "has the values of the reference in another order: a transpose, a flip, or another order of flattening"
    return ""


def inherited(setting, call):
    """The error of what the layer is given in the port's own run: that of the call before it."""
    errors = list(own_errors(setting).items())
    names = [name for name, _ in errors]
    name = f"{call.path} (call {call.number})"
    place = names.index(name) if name in names else 0
    return max((x for _, x in errors[:place]), default=0.0)


def own_errors(setting):
    """{path (call n): error} of the port's own run of the first player's turn that differs, else of the last."""
    given, errors = setting.turn(), {}
    for name in setting.family.players:
        have, want = levels.both(setting, name, sides.our_turn(setting.family, name), given)
        errors = levels.compare("outputs", have["outputs"], want["outputs"]).errors
        if not max(errors.values(), default=0.0) <= FORWARD:
            return errors
    return errors


HINTS = {
    "losses": "every layer is right, the loss is not: look at what stands behind the last layer",
    "gradients": "layers and losses are right, gradients are not: one is stopped, let through or scaled between layers",
    "inputs": "layers and losses are right, the gradients by the inputs are not",
    "clipping": "the clipping of gradients differs",
    "evaluation": "training is right, evaluation is not: look at what depends on the mode outside of layers",
    "samples": "training is right, sampling is not",
    "metrics": "the first step is right, later ones are not: look at the order of the players and the optimiser",
    "weights": "gradients are right, steps are not: look at the optimiser",
    "optimizer": "gradients are right, the optimiser's state is not",
    "statistics": "layers are right, the running statistics after a step are not: look at who moves which",
    "averages": "weights are right, their running average is not",
}


def elsewhere(setting, failed):
    """No layer is wrong by itself: the fault stands between layers, in the loss, in the step or in sampling."""
    if "leaks" in failed:
        return Diagnosis(
            None, told=f"a float64 check that computes in less: {failed['leaks'].where}; keep x.dtype there"
        )
    if told := not_finite(setting) or in_between(setting):
        return Diagnosis(None, told=told)
    level = next((name for name in HINTS if name in failed), next(iter(failed)))
    return Diagnosis(None, told=f"{HINTS.get(level, f'{level} differ')} ({level}: {failed[level].where})")


def not_finite(setting):
    """The first number that is NaN or infinite here and is not in PyTorch."""
    given = setting.turn()
    for name in setting.family.players:
        have, want = levels.both(setting, name, sides.our_turn(setting.family, name), given)
        for level in ("outputs", "losses", "gradients"):
            for key, x in have[level].items():
                if key in want[level] and not np.isfinite(x).all() and np.isfinite(want[level][key]).all():
                    return f"{name}: {key} is NaN or infinite in JAX, where PyTorch's is finite; look at what makes it"
    return ""


def in_between(setting):
    errors = own_errors(setting)
    first = next((name for name, x in errors.items() if not x <= FORWARD), None)
    if first is None:
        return ""
    names = list(errors)
    before = names[names.index(first) - 1] if names.index(first) else "the input"
    return (
        f"no layer is wrong by itself, but {first} is given something else: look at what stands between {before} and it"
    )
