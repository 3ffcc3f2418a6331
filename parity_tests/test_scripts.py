"""The scripts that a researcher reads run as they stand, on CPU devices, one and several."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from jaxgen import weights

ROOT = Path(__file__).parent.parent


def run(*command, **environment):
    done = subprocess.run(
        list(map(str, command)), env={**os.environ, **environment}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "dcgan"])
def test_the_functional_loop(name, tmp_path, monkeypatch):
    """On one device and on four, to the same weights; it stays a page that one can read."""
    script, net = ROOT / "scripts" / "functional_loop.py", {"vae": "vae", "dcgan": "gen"}[name]
    made, losses = [], []
    for devices in (1, 4):
        (tmp_path / str(devices)).mkdir()
        monkeypatch.chdir(tmp_path / str(devices))
        told = run(sys.executable, script, name, 1, JAX_NUM_CPU_DEVICES=str(devices))
        assert "100 {" in told and f"{name}.png" in told
        losses.append(float(re.search(r"'(?:disc_)?loss': ([\d.]+)", told)[1]))
        made.append(weights.read(f"{net}.safetensors"))
        with Image.open(f"{name}.png") as grid:
            assert grid.width > 300
    for key in made[0] if name == "vae" else []:  # in a hundred steps a GAN makes much of another order of sums
        np.testing.assert_allclose(made[0][key], made[1][key], rtol=0.05, atol=5e-3)
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
    code = [line for line in script.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert len(code) < 50


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train_gpu.sh", "train_tpu.sh"])
def test_the_training_scripts(name, tmp_path):
    """With small sizes, and the digits in the place of mnist."""
    copy = tmp_path / "scripts"
    copy.mkdir()
    for file in (name, "setup.sh"):
        (copy / file).write_text((ROOT / "scripts" / file).read_text())
    (copy / "setup.sh").write_text(f'export PATH="{Path(sys.executable).parent}:$PATH"\n')
    small = "--data digits --steps 2 --log-every 2 --batch 8 --size 32 --latent 4".split()
    wide = (copy / name).read_text()
    assert wide.count("jaxgen train") >= 3
    # a VAE has hidden widths where a GAN has a width
    (copy / name).write_text(wide.replace("--recipe T03", "--recipe T03 --width 2"))
    run("bash", copy / name, *small, JAX_NUM_CPU_DEVICES="4")
    assert len(list((tmp_path / "runs").iterdir())) >= 2


@pytest.mark.slow
def test_the_picture_of_diffusion(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = "--steps 2 --eval-every 2 --width 8".split()
    assert "drawn: drawn.png" in run(sys.executable, ROOT / "scripts" / "diffusion.py", "--out", "drawn.png", *small)
    with Image.open("drawn.png") as picture:
        assert picture.size == (1100, 940)


@pytest.mark.slow
def test_the_picture_of_gans(tmp_path, monkeypatch):
    """Of runs of two steps each."""
    monkeypatch.chdir(tmp_path)
    script = (ROOT / "scripts" / "games.py").read_text()
    few = script.replace('"--data", "digits"', '"--data", "digits", "--width", "2", "--steps", "2"')
    (tmp_path / "games.py").write_text(few.replace('("--batch", "32")', '("--batch", "4")'))
    assert "drawn: drawn.png" in run(sys.executable, tmp_path / "games.py", "--out", "drawn.png")


@pytest.mark.slow
@pytest.mark.alone
def test_the_overhead_of_the_loop(tmp_path, capsys):
    """Both sides make the same steps; what is timed apart is named."""
    from jaxgen.overhead import overhead

    with jax.enable_x64(False):
        told = overhead("vae", data="digits", epochs=1, rounds=2, out=str(tmp_path / "loop.json"))
    assert told["steps"] == 25 and len(told["seconds"]["bare"]) == len(told["seconds"]["tool"]) == 2
    assert told["apart"].keys() >= {"compiling", "pictures", "evaluation"} and told["ratio"] > 0
    assert "ms each in one scan" in capsys.readouterr().out and (tmp_path / "loop.json").is_file()
