"""Every command of the README runs: the shell's with a few steps, Python's as they stand."""

import re
import shlex
from pathlib import Path

import jax
import pytest

from jaxgen import cli

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_commands(monkeypatch, tmp_path, capsys):
    """In their order, in a folder in which the files that they name are found."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parity_tests").symlink_to(ROOT / "parity_tests")
    lines = [line.split("#")[0].strip() for block in blocks("bash") for line in block.splitlines()]
    assert len(lines) > 6
    for line in lines:
        words = shlex.split(line)
        if words[0] == "bash":
            assert (ROOT / words[1]).is_file()
            continue
        assert words[0] == "jaxgen"
        short = ["--steps", "4", "--log-every", "2"] if words[1] == "train" else []
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
