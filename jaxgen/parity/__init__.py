"""Proof that a JAX training step equals its PyTorch twin, in float64. Needs torch (the extra `verify`) when used."""

from jaxgen.parity.bundle import freeze, replay
from jaxgen.parity.named import named
from jaxgen.parity.pairs import Case, cases
from jaxgen.parity.result import Result
from jaxgen.parity.strangers import Pair, case
from jaxgen.parity.verify import verify


def diagnose(case, result=None):
    """-> Diagnosis: the layer that is wrong, the cause and the cure. `result` is that of `verify`, if it is at hand."""
    from jaxgen.parity import diagnosis

    return diagnosis.diagnose(case, result)


__all__ = ["Case", "Pair", "Result", "case", "cases", "diagnose", "freeze", "named", "replay", "verify"]
