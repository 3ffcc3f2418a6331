"""The kill score: which levels of the verification see each planted fault. One that none sees has survived."""

from contextlib import contextmanager, nullcontext
from functools import cache, cached_property
from unittest.mock import patch

import jax
import jax.numpy as jnp

from jaxgen import find
from jaxgen.errors import UserError
from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.parity.compare import LEVELS
from jaxgen.parity.mutations.found import general, mutations
from jaxgen.parity.mutations.planting import Planted, Replaced, place, reached
from jaxgen.parity.verify import verify

STEPS = 2  # the first step of Adam hides its decays
LATE = ("leaks", "adversarial", "trajectory")  # asked only if no other level saw the fault: a third of the time
EARLY = tuple(level for level in LEVELS if level not in LATE)


def specimen():
    """The case in which every layer and kind of step is at work."""
    from jaxgen.parity.specimen import Family
    from torch_ref.specimen import Family as Twin

    return pairs.Case("specimen", Family.small, Family, Twin)


def score(cases=None, chosen=None):
    """-> for each mutation (or each of `chosen`) one dict, as it is found: what it is, and which levels killed it.

    Without `cases` each is planted in the specimen, or else in the first family of the package that can have it; with
    them in each of them that can. A fault of one layer is planted in the first layer that can have it."""
    for subject, mutation, spot in plan(chosen or mutations(), [Subject(case) for case in cases] if cases else None):
        subject.check()
        yield judged(mutation, subject.case, spot)


class Subject:
    """A case in which faults are planted."""

    def __init__(self, case):
        self.case, self.family = case, case.build()[0]

    @cached_property
    def reached(self):
        contexts = [mutation.plant(self.family) for mutation in general()]
        return reached(self.case, {context.place for context in contexts if context is not NotImplemented})

    def spot(self, mutation):
        """Where the mutation would be planted: a layer's path, or "" for the whole; None if it cannot be a fault."""
        if mutation.kinds:
            return place(mutation, self.case)
        context = mutation.plant(self.family)
        return "" if context is not NotImplemented and context.place in self.reached else None

    @cache
    def check(self):
        if failed := levels_of(self.case):
            raise UserError(f"{self.case} differs without any mutation, first in {next(iter(failed))}. Verify it first.")


def plan(chosen, subjects):
    """(subject, mutation, spot) of all that will be planted."""
    if subjects:
        every = ((subject, mutation, subject.spot(mutation)) for subject in subjects for mutation in chosen)
        yield from (each for each in every if each[2] is not None)
        return
    subjects = [Subject(specimen()), *(Subject(next(pairs.cases(name))) for name in find.names())]
    for mutation in chosen:
        spots = ((subject, mutation, subject.spot(mutation)) for subject in subjects)
        first = next((each for each in spots if each[2] is not None), None)
        if first:
            yield first


def judged(mutation, case, spot):
    """The dict of one mutation."""
    faulty, context = (Planted(case, mutation, spot), nullcontext()) if mutation.kinds else (case, None)
    with context or mutation.plant(case.build()[0]):
        try:
            levels = levels_of(faulty)
        except (UserError, ValueError, TypeError) as error:
            if not is_told(error):
                raise
            levels = {"error": float("inf")}
    return {
        "mutation": mutation.name, "about": mutation.about, "case": str(case), "layer": spot or None,
        "killed": bool(levels), "levels": levels, "first": next(iter(levels), None), "diagnosis": None,
    }  # fmt: skip


def is_told(error):
    """Whether a user would read what is wrong: of our layers, or of JAX about shapes; not of a slip in a mutation."""
    return isinstance(error, UserError) or any(word in str(error) for word in ("expected", "shape"))


def levels_of(case):
    """{level: its error} of those that fail. What is slow is asked only if nothing else sees a fault."""
    with quickly():
        for only in (EARLY, LATE[:2]):
            if failed := {row.level: row.error for row in verify(case, steps=STEPS, trajectory=0, only=only) if not row.ok}:
                return failed
    rungs = verify(case, only=("names",), rungs=("float32",)).ladder
    return {rung["rung"]: rung["ratio"] for rung in rungs if not rung["ok"]}


@contextmanager
def quickly():
    """Operation by operation: each is compiled once for all mutations, a whole program would be for each anew."""
    before = jax.config.values["jax_disable_most_optimizations"]

    def make(right):
        # what is run so writes into the arrays that it is given
        return lambda self, *trees, **how: right(self, *jax.tree.map(jnp.asarray, trees[:2]), *trees[2:], **how)

    jax.config.update("jax_disable_most_optimizations", True)
    try:
        with patch.object(pairs, "quick", lambda function: function), Replaced(Functional, "apply", make):
            yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
