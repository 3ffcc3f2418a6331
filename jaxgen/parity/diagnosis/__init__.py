"""The diagnosis of a port that differs: the layer, the cause, and the cure. Needs torch."""

from jaxgen.parity.diagnosis.diagnose import Diagnosis, diagnose, layers

__all__ = ["Diagnosis", "diagnose", "layers"]
