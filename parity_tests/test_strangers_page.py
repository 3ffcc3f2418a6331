"""docs/porting.md: its pairs, its commands and its Python run as they stand."""

import re
import shlex
from pathlib import Path

import jax
import pytest
import torch
from flax import nnx
from test_strangers import failed
from tool import command

from jaxgen import parity

TEXT = (Path(__file__).parent.parent / "docs" / "porting.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def page(as_a_user):
    """The names of its first block, which is also the file that its commands name."""
    source, *_ = blocks("python")
    Path("port.py").write_text(source)
    torch.manual_seed(0)
    names = {}
    exec(source, names)
    return names


def test_the_pairs(page):
    """The first is right, the second is not, and the layer is the one that the page names."""
    assert len(blocks("python")[0].strip().splitlines()) < 20
    only = dict(trajectory=0, only=("outputs", "losses"))
    parity.verify(page["in_nnx"], **only).assert_ok()
    wrong = parity.verify(page["in_linen"], **only)
    told = str(parity.diagnose(page["in_linen"], wrong))
    assert failed(wrong) == {"outputs", "losses"} and told.startswith("Conv2d net.0")
    said = re.search(r"`Conv2d net.0 \.\.\.: (.*?) \.\.\.; (.*?)`", TEXT)
    assert all(part in told for part in said.groups())


def test_the_batch_norm(page):
    """Flax's as the page mends it: the running variance is torch's."""
    exec(blocks("python")[2], page)
    port = nnx.Sequential(page["BatchNorm"](3, momentum=0.9, rngs=nnx.Rngs(0)))
    pair = parity.case(torch.nn.Sequential(torch.nn.BatchNorm1d(3)), port, {"x": (5, 3)})
    parity.verify(pair, trajectory=0, only=("statistics",)).assert_ok()


@pytest.mark.slow
def test_the_commands(page, capsys):
    for line in "".join(blocks("bash")).splitlines():
        words = shlex.split(line.split("#")[0])
        assert words[0] == "jaxgen"
        assert command(*words[1:]) == ("in_linen" in line), line
    assert "Conv2d net.0" in capsys.readouterr().out and Path("proof.html").exists()


@pytest.mark.slow
def test_the_python(page):
    exec(blocks("python")[1], page)
    assert page["result"].ok and not jax.config.jax_enable_x64
