"""Proof that a JAX training step equals its PyTorch twin, in float64. Needs torch (the extra `verify`) when used."""

from jaxgen.parity.named import named
from jaxgen.parity.pairs import Case, cases
from jaxgen.parity.result import Result
from jaxgen.parity.strangers import Pair, case
from jaxgen.parity.verify import verify

__all__ = ["Case", "Pair", "Result", "case", "cases", "named", "verify"]
