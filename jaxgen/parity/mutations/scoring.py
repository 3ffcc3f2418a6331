"""The kill score: which levels of the verification see each planted fault. One that none sees has survived."""

from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache, cached_property
from itertools import islice
from unittest.mock import patch

import jax
import jax.numpy as jnp

from jaxgen import find
from jaxgen.errors import UserError
from jaxgen.functional import Functional
from jaxgen.parity import pairs, ties
from jaxgen.parity.compare import LEVELS
from jaxgen.parity.mutations.found import general, mutations
from jaxgen.parity.mutations.planting import Planted, Replaced, called, place, reached
from jaxgen.parity.named import named
from jaxgen.parity.processes import spread
from jaxgen.parity.setting import Setting
from jaxgen.parity.verify import verify

STAGES = (  # one after the other, until one sees the fault: what is slow is asked only if nothing else does
    dict(only=tuple(level for level in LEVELS if level not in ("leaks", "adversarial", "trajectory")), steps=2),
    dict(only=("leaks", "adversarial", "weights"), steps=4),
    dict(only=("names",), rungs=("float32",)),
)
OF_TIES = ("maximum of the last tie",)
ONE = dict(steps=1)  # is enough for a layer


def specimen():
    """The case in which every layer and kind of step is at work."""
    from jaxgen.parity.specimen import Family
    from torch_ref.specimen import Family as Twin

    return pairs.Case("specimen", Family.small, Family, Twin)


def score(cases=None, chosen=None):
    """-> for each mutation (or each of `chosen`) one dict, as it is found: what it is, and which levels killed it.

    Without `cases` each is planted in the specimen, or else in the first family of the package that can have it; with
    them in each of them that can. A fault of one layer is planted in the first layer that can have it."""
    subjects = [Subject(case) for case in cases or everywhere()]
    for mutation in chosen or mutations():
        yield from outcomes(mutation, subjects, None if cases else 1)


def score_by_name(names, twin=None, processes=0):
    """As `score`, of cases by their names, over the cores."""
    tasks = [(mutation.name, tuple(names), twin) for mutation in mutations()]
    for found in spread(of_names, tasks, processes):
        yield from found


def of_names(mutation, names, twin):
    wanted = next(each for each in mutations() if each.name == mutation)
    return list(outcomes(wanted, subjects_of(names, twin), None if names else 1))


@cache
def subjects_of(names, twin):
    cases = [case for name in names for case in named(name, twin)]
    return [Subject(case) for case in cases or everywhere()]


@cache
def everywhere():
    """The cases of a fault, in the order in which they are asked whether they can have it."""
    return [specimen(), *(next(pairs.cases(name)) for name in find.names())]


class Subject:
    """A case in which faults are planted."""

    def __init__(self, case):
        self.case, self.family, self.sound = case, case.build()[0], set()
        if not isinstance(self.family, Functional):
            raise UserError(f"{case}: mutations are of the layers and steps of jaxgen. Give a family, or none.")

    @cached_property
    def met(self):
        return called(self.case)

    @cached_property
    def reached(self):
        contexts = [mutation.plant(self.family) for mutation in general()]
        return reached(self.case, {context.place for context in contexts if context is not NotImplemented})

    @cached_property
    def tied(self):
        """Whether PyTorch's own gradient jumps at the ties of its inputs: they cannot be compared."""
        with quickly():
            rows = verify(self.case, only=("adversarial",))
        return any(reason == ties.REASON for row in rows for reason in row.left_out.values())

    def spot(self, mutation):
        """Where the mutation would be planted: a layer's path, or "" for the whole; None if it cannot be a fault."""
        if mutation.kinds:
            return None if mutation.cause in OF_TIES and self.tied else place(mutation, self.case, self.met)
        context = mutation.plant(self.family)
        return "" if context is not NotImplemented and context.place in self.reached else None

    def check(self, stage):
        """The case without a mutation passes."""
        if stage not in self.sound and (failed := failures(self.case, STAGES[stage])):
            raise UserError(f"{self.case} differs without a mutation, first in {next(iter(failed))}. Verify it first.")
        self.sound.add(stage)


def outcomes(mutation, subjects, most):
    """The dict of the mutation in each of the first `most` subjects that can have it."""
    return (judged(mutation, subject, spot) for subject, spot in islice(spots(mutation, subjects), most))


def spots(mutation, subjects):
    """Each subject that can have the mutation, and where."""
    every = ((subject, subject.spot(mutation)) for subject in subjects)
    return (each for each in every if each[1] is not None)


def judged(mutation, subject, spot):
    """The dict of one mutation."""
    case, levels = subject.case, {}
    faulty = Planted(case, mutation, spot) if mutation.kinds else case
    for stage in range(len(STAGES)):
        subject.check(stage)
        with nullcontext() if mutation.kinds else mutation.plant(subject.family):
            levels = seen(faulty, STAGES[stage] | (ONE if mutation.kinds and stage == 0 else {}))
        if levels:
            break
    return {
        "mutation": mutation.name, "about": mutation.about, "case": str(case), "layer": spot or None,
        "killed": bool(levels), "levels": levels, "first": next(iter(levels), None), "diagnosis": None,
    }  # fmt: skip


def seen(faulty, how):
    """{level: its error} of those that fail; of what a user would read instead, {"error": infinite}."""
    try:
        return failures(faulty, how)
    except (UserError, ValueError, TypeError) as error:
        told = isinstance(error, UserError) or any(word in str(error) for word in ("expected", "shape"))
        if not told:  # a slip in the mutation
            raise
        return {"error": float("inf")}


def failures(case, how):
    """{level: its error} of those that fail."""
    with quickly() if "steps" in how else nullcontext():
        result = verify(case, trajectory=0, **how)
    failed = {row.level: row.error for row in result if not row.ok}
    return failed | {rung["rung"]: rung["ratio"] for rung in result.ladder if not rung["ok"]}


@contextmanager
def quickly():
    """Operation by operation: each is compiled once for all mutations, a whole program would be for each anew."""
    before = jax.config.values["jax_disable_most_optimizations"]

    def make(right):
        # what is run so writes into the arrays that it is given
        return lambda self, *trees, **how: right(self, *jax.tree.map(jnp.asarray, trees[:2]), *trees[2:], **how)

    jax.config.update("jax_disable_most_optimizations", True)
    try:
        with ExitStack() as changes:
            changes.enter_context(jax.disable_jit())  # a loop is a program, too
            changes.enter_context(patch.object(pairs, "quick", lambda function, often=False: function))
            changes.enter_context(Replaced(Functional, "apply", make))
            changes.enter_context(Replaced(Setting, "step", cache))  # a step's draws are asked for at every level
            yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
