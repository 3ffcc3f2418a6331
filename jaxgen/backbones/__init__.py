"""Networks of the diffusion families, a file each, found by its name: build(size, channels, width, classes, context,
dropout) -> net; net(x, time, label, context) -> an image for each image of x.

x (N, H, W, C); time (N,), about 0 to 1000, fractions too; label (N,) in [0, classes], `classes` itself being the label
of no class; context (N, L, context): tokens to attend to."""

from importlib import import_module
from pathlib import Path

from jaxgen.errors import UserError


def names():
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py") if "\ndef build(" in path.read_text())


def build(name, size, channels, width, classes=0, context=0, dropout=0.0):
    if name not in names():
        raise UserError(f"network {name!r}: expected one of {', '.join(names())}.")
    return import_module(f"{__name__}.{name}").build(size, channels, width, classes, context, dropout)
