"""Golden bundles: a case with its weights, its inputs and the float64 truth, kept in a folder of safetensors files and
a manifest; and its replay, which needs no torch: on a GPU, on a TPU, after an upgrade."""

from jaxgen.parity.bundle.commands import freeze_command, replay_command
from jaxgen.parity.bundle.freeze import freeze
from jaxgen.parity.bundle.replay import replay
from jaxgen.parity.bundle.stranger import port

__all__ = ["freeze", "freeze_command", "port", "replay", "replay_command"]
