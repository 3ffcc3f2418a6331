"""What a port's layer may be instead of its torch partner: altered torch layers, each with what it means and the cure.

A layer that answers like one of them, and not like its partner, is explained. Everything is made of torch alone, so it
holds for a port in any dialect of JAX."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from jaxgen.parity.diagnosis import activations, convolutions, norms, shapes


class Hypothesis(NamedTuple):
    """`cause` is a key, `told` what is seen, `cure` what to write instead. `run(module, *args)` stands for the forward,
    `change(module)` edits a copy of it."""

    cause: str
    told: str
    cure: str
    run: Callable[..., Any] | None = None
    change: Callable[[Any], Any] | None = None


def hypotheses(call) -> Iterator[Hypothesis]:
    """Those for the kind of the layer, the likely ones first."""
    for file in (norms, activations, convolutions, shapes):
        for each in file.hypotheses(call):
            yield Hypothesis(*each[:3], **each[3])
