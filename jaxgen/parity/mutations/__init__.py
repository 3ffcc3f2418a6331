"""Faults that ports really have, planted one at a time to see that the verification sees them all. Needs torch."""

from jaxgen.parity.mutations.found import Mutation, general, local, mutations
from jaxgen.parity.mutations.planting import Planted, place
from jaxgen.parity.mutations.scoring import everywhere, score, score_by_name, specimen

__all__ = [
    "Mutation",
    "Planted",
    "everywhere",
    "general",
    "local",
    "mutations",
    "place",
    "score",
    "score_by_name",
    "specimen",
]
