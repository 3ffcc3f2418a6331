"""Proof that a JAX training step equals its PyTorch twin, in float64. Needs torch (the extra `verify`) when used."""

from jaxgen.parity.pairs import Case, cases
from jaxgen.parity.verify import Result, verify

__all__ = ["Case", "Result", "cases", "verify"]
