"""Every family there is: those of the package by name, the toys of the tests as files of a user's own. Needs no
torch."""

from pathlib import Path

import pytest

from jaxgen import find
from jaxgen.functional import Functional

TOYS = Path(__file__).parent / "toys"
NAMES = [*find.names(), *(str(path) for path in sorted((TOYS / "ours").glob("*.py")))]


# Compiling a step of a UNet takes ten times as long as one of any other net. What no family has of its own is shown on
# the others; of these in the marked suite. So of the families that are a dcgan but for what its nets are given.
HEAVY = ("ddpm", "edm", "flow")
ALIKE = ("cgan", "wgan_gp")


def slow(*names):
    return [pytest.param(name, marks=pytest.mark.slow) if name in names else name for name in NAMES]


EACH = slow(*HEAVY, *ALIKE)
# of those that compile for long on several devices too, where toys have all that they have
SOME = slow(*HEAVY, *ALIKE, "dcgan", "mlp_gan", "projection_gan", "conv_vae", "vqvae")


def twin_file(name):
    """The file of the twin, for a toy."""
    return str(TOYS / "theirs" / Path(name).name) if find.is_path(name) else None


def small(name):
    """The test-sized form of a family."""
    cls = find.family(name)
    return Functional(cls(**cls.small))
