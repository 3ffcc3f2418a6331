"""Every command of the README runs: the shell's with a few steps, Python's as they stand."""

import re
import shlex
from pathlib import Path

import jax
import numpy as np
import pytest
from names import HEAVY
from PIL import Image

from jaxgen import cli

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def own_pictures(folder):
    """Of another size than any family's, gray and colour mixed, in two classes."""
    rng = np.random.default_rng(0)
    for i in range(100):
        path = folder / ("cats", "dogs")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (70, 80, *[3] * (i % 3 > 0)), np.uint8)).save(path)


def few_of_mnist(path):
    """In the place of the real set, which is not on every machine."""
    part = lambda n: (np.zeros((n, 28, 28), np.uint8), np.arange(n) % 10)
    (x_train, y_train), (x_test, y_test) = part(200), part(20)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


@pytest.mark.slow
def test_the_commands(monkeypatch, tmp_path, capsys):
    """In their order, in a folder in which the files that they name are found."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parity_tests").symlink_to(ROOT / "parity_tests")
    own_pictures(tmp_path / "pictures")
    few_of_mnist(tmp_path / "mnist.npz")
    monkeypatch.setenv("JAXGEN_DATA", str(tmp_path))
    lines = [line.split("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    assert len(lines) > 6
    for line in lines:
        words = shlex.split(line)
        if words[0] == "bash":
            assert (ROOT / words[1]).is_file()
            continue
        assert words[0] == "jaxgen"
        steps = "--steps 4 --log-every 2 --parallel jit"
        few = {"train": steps, "sweep": steps if words[2:3] != ["take"] else "", "verify": "--trajectory 20"}
        short = few.get(words[1], "").split()
        if words[1] == "train" and words[2] in HEAVY:
            short += ["--size", "8", "--width", "8", "--batch", "8", "--sampling-steps", "8"]
        if "pictures" in words and words[1] == "train":
            short += ["--size", "32", "--width", "2", "--batch", "8"]
        short += ["--width", "8", "--parallel", "jit"] if words[1:3] == ["train", "flow"] else []
        with pytest.raises(SystemExit) as stop, jax.enable_x64(False):
            cli.main(words[1:] + short)
        assert not stop.value.code, line
    for block in blocks("python"):
        with jax.enable_x64(False):
            exec(compile(block, "README.md", "exec"), {})


def test_what_it_points_to_is_there():
    for path in re.findall(r"\]\(([^)]+)\)|`([\w./]+\.(?:py|md|sh|txt))`", TEXT):
        name = "".join(path)
        if not name.startswith("http"):
            assert (ROOT / name).exists() or (ROOT / "jaxgen" / name).exists(), name
