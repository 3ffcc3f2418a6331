"""Freezing a case: what both sides are given, and what PyTorch answers in float64."""

import jax

from jaxgen.errors import UserError
from jaxgen.parity import environment, ladder, levels, sides
from jaxgen.parity.bundle import files, rungs, stranger, truth
from jaxgen.parity.named import one
from jaxgen.parity.pairs import Case, sample_draws
from jaxgen.parity.result import plain
from jaxgen.parity.setting import Setting
from jaxgen.parity.verify import STEPS


def freeze(case, folder, twin=None):
    """Write the bundle of a case: what `parity.case` or `parity.cases` gives, or a name as `jaxgen verify` takes it
    (`twin` is then the PyTorch file of a family that is a file)."""
    typed, case = (case, one(case, twin)) if isinstance(case, str) else (None, case)
    with jax.enable_x64(True):
        setting = Setting(case)
        if not (names := levels.compare_names(setting)).ok:
            raise UserError(f"freeze: {case}: {names.where} is not the same on both sides. `jaxgen verify` says more.")
        given = given_to(setting)
        true, errors = answered(setting, given)
    told = {"case": described(setting, typed), "versions": environment.versions(), "rungs": plain(errors)}
    weights = ("weights and statistics of the start, by PyTorch's names", setting.state_dict)
    given = ("batch and draws of each step, and the noise of samples, as JAX has them", given)
    files.write(folder, told, {"weights": weights, "given": given, "truth": ("PyTorch's answers in float64", true)})


def given_to(setting):
    """What both sides are given, in as many steps as any comparison needs."""
    named = lambda batch, draws: {"batch": batch, "draws": sides.named(draws)}
    given = {"steps": {str(i): named(*setting.step(i)) for i in range(max(STEPS, ladder.TURNS))}}
    if setting.learns and hasattr(setting.family, "sample"):
        given["samples"] = sides.named(sample_draws(setting.family, jax.random.key(7), 4))
    return given


def answered(setting, given):
    """-> the truth, and PyTorch's own errors in each precision of this machine. Rungs come last: they leave the twin
    in another precision."""
    true = {"turns": truth.turns(setting)}
    grads = {player: told["gradients"] for player, told in true["turns"]["training"].items()}
    true["clipped"] = {player: truth.clipped(each) for player, each in grads.items() if each}
    if setting.learns:
        true["steps"] = truth.stepped(setting, STEPS)
    if "samples" in given:
        true["samples"] = truth.sampled(setting, sample_draws(setting.family, jax.random.key(7), 4))
    true["rungs"], errors = rungs.truth(setting)
    return true, errors


def described(setting, typed):
    """How a replay finds the JAX side."""
    case = setting.case
    if not isinstance(case, Case):
        return {"kind": "pair", "name": typed, "label": str(case), **stranger.told(setting)}
    return {"kind": "family", "name": case.name, "label": str(case), "arguments": plain(case.arguments)}
