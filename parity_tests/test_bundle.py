"""A case frozen and replayed: the truth is found again without torch, what changed since is caught, and a bundle that
is not whole is refused in one line."""

import functools
import json
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxgen.families.vae
from jaxgen import find, settings
from jaxgen.errors import UserError
from jaxgen.parity.bundle import files, freeze, freeze_command, replay, replay_command
from jaxgen.parity.compare import LEVELS

KEPT = [level for level in LEVELS if level not in ("signatures", "trajectory")]
VAE, FAMILY = jaxgen.families.vae.VAE, jaxgen.families.vae.Family


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden") / "vae"
    assert freeze_command("vae", str(folder))
    return folder


PORT = """
from flax import nnx

from jaxgen.parity.bundle import port


class Port(nnx.Module):
    def __init__(self, epsilon=1e-5, width=6):
        rngs = nnx.Rngs(0)
        self.linear = nnx.Linear(4, width, rngs=rngs)
        self.norm = nnx.GroupNorm(width, num_groups=2, epsilon=epsilon, use_fast_variance=False, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.linear(x))


right, wrong, wide = port(Port()), port(Port(1e-6)), port(Port(width=8))
told = port(Port(), loss=lambda out, x: out.sum())
"""
PAIR = """
import torch

from jaxgen.parity import case

theirs = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.GroupNorm(2, 6))
pair = case(theirs, Port(), {"x": (4, 4)})
"""


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """A stranger's pair frozen; beside it a file that has its JAX side alone."""
    folder = tmp_path_factory.mktemp("strange")
    (folder / "port.py").write_text(PORT)
    (folder / "pair.py").write_text(PORT + PAIR)
    freeze(f"{folder / 'pair.py'}:pair", folder / "golden")
    return folder


@pytest.fixture
def copied(golden, tmp_path):
    return shutil.copytree(golden, tmp_path / "copied")


def test_a_replay_needs_no_torch_and_compares_every_level_that_is_kept(golden, strange, tmp_path):
    told = tmp_path / "told.json"
    code = f"""
import sys; sys.modules["torch"] = None
from jaxgen.errors import UserError
from jaxgen.parity.bundle import replay, replay_command
assert replay_command({str(golden)!r}, rung=("float32",), json={str(told)!r})
golden, port = {str(strange / "golden")!r}, {str(strange / "port.py:right")!r}
replay(golden, port, only=("outputs",), rungs=("float32",)).assert_ok()
try:
    replay(golden)
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(told.read_text())["results"][0]
    assert sorted(level["level"] for level in result["levels"]) == sorted(KEPT)
    assert [rung["rung"] for rung in result["ladder"]] == ["float32"] and result["ok"]
    assert done.stdout.count("signatures and trajectory need torch") == 1 and "holds" in done.stdout
    assert "pair.py:pair: this file needs torch, which is not installed. Name a file with the JAX side" in done.stdout


def test_a_port_that_changed_is_caught(strange):
    """Given by the name of its file, or as the model itself."""
    for wrong in (f"{strange / 'port.py'}:wrong", find.own_module(strange / "port.py").Port(1e-6)):
        result = replay(strange / "golden", wrong, only=("outputs",))
        assert [(row.level, row.where) for row in result if not row.ok] == [("outputs", "net: net.1 (call 1)")]


def test_another_port_is_refused(strange):
    with pytest.raises(UserError, match=r"the port: linear/bias: expected the shape \(6,\), got \(8,\)"):
        replay(strange / "golden", f"{strange / 'port.py'}:wide")
    with pytest.raises(UserError, match="loss: the case has none of its own, the port given has"):
        replay(strange / "golden", f"{strange / 'port.py'}:told")
    with pytest.raises(UserError, match="there is no case 'rihgt'. There is: right. If the port stands elsewhere"):
        replay(strange / "golden", f"{strange / 'port.py'}:rihgt")


def beta_changed(patch):
    right = FAMILY.__init__

    @functools.wraps(right)
    def wrong(self, *args, **kwargs):
        right(self, *args, **kwargs)
        self.beta = 1.0001

    patch.setattr(FAMILY, "__init__", wrong)


def scaled_wrongly(patch):
    patch.setattr(VAE, "reparameterize", lambda self, mu, logvar, eps: mu + eps * jnp.exp(logvar))


def another_epsilon(patch):
    right = optax.adamw
    patch.setattr(optax, "adamw", lambda *args, **kwargs: right(*args, eps=1e-7, **kwargs))


def brighter(patch):
    right = FAMILY.sample
    patch.setattr(FAMILY, "sample", lambda self, draws: 1.001 * right(self, draws))


def narrow(patch):
    right = VAE.encode
    patch.setattr(VAE, "encode", lambda self, x: right(self, x.astype("float32").astype(x.dtype)))


FAULTS = {"losses": beta_changed, "outputs": scaled_wrongly, "weights": another_epsilon, "samples": brighter,
          "leaks": narrow}  # fmt: skip


@pytest.mark.parametrize("level, fault", FAULTS.items(), ids=[fault.__name__ for fault in FAULTS.values()])
def test_what_changed_since_is_caught(golden, monkeypatch, level, fault):
    fault(monkeypatch)
    result = replay(golden, only=(level,))
    assert not result.ok and level in [row.level for row in result if not row.ok]


def test_without_float64_the_port_is_judged_in_float32_alone(golden, monkeypatch):
    monkeypatch.setattr(sys.modules[replay.__module__], "exact", lambda: False)
    result = replay(golden)
    assert [row.level for row in result] == ["names"] and [rung["rung"] for rung in result.ladder] == ["float32"]
    assert result.ok and "no float64 on this device" in str(result)
    right = VAE.encode
    monkeypatch.setattr(VAE, "encode", lambda self, x: right(self, x.astype("bfloat16").astype(x.dtype)))
    assert not replay(golden).ok


@pytest.mark.parametrize("name", ["weights.safetensors", "given.safetensors", "truth.safetensors", "manifest.json"])
def test_a_changed_byte_is_refused(copied, name):
    data = bytearray((copied / name).read_bytes())
    place = data.rindex(b"1") if name == "manifest.json" else len(data) // 2
    data[place] ^= 1
    (copied / name).write_bytes(data)
    with pytest.raises(UserError, match=rf"{name}: changed since it was written"):
        replay(copied)


def test_a_bundle_that_is_not_whole_is_refused(copied, tmp_path):
    with pytest.raises(UserError, match="no bundle here"):
        replay(tmp_path)
    (copied / "given.safetensors").unlink()
    with pytest.raises(UserError, match=r"given.safetensors: missing"):
        replay(copied)
    for text in ("{", "[]", '{"case": 1}'):
        (copied / "manifest.json").write_text(text)
        with pytest.raises(UserError, match="not the manifest of a bundle"):
            replay(copied)


@pytest.mark.parametrize(
    "key, value, match",
    [("format", "jaxgen bundle 0", "expected the format 'jaxgen bundle 1'"), ("gates", {"float64": 1.0}, "the gates")],
)
def test_another_format_or_other_gates_are_refused(copied, key, value, match):
    told = files.manifest(copied) | {key: value}
    (copied / "manifest.json").write_text(json.dumps(told | {"sha256": files.seal(told)}))
    with pytest.raises(UserError, match=match):
        replay(copied)


def test_a_case_that_no_longer_fits_is_refused(golden, monkeypatch):
    with monkeypatch.context() as patch:
        right = jaxgen.families.vae.mlp
        patch.setattr(jaxgen.families.vae, "mlp", lambda *widths: right(*widths, widths[-1]))
        with pytest.raises(UserError, match=r"no longer fit the case: missing vae.decoder.6.bias"):
            replay(golden)
    with monkeypatch.context() as patch:
        patch.setattr(FAMILY, "draw", lambda self, key, batch: {"noise": jax.random.normal(key, (8, 3))})
        with pytest.raises(UserError, match=r"draws other numbers than when it was frozen: noise was not there"):
            replay(golden)
    with monkeypatch.context() as patch:
        patch.setattr(FAMILY, "__init__", lambda self, size=5, channels=2, hidden=(9, 7): None)
        with pytest.raises(UserError, match="vae no longer takes 'latent'"):
            replay(golden)
    with pytest.raises(UserError, match="unknown family 'vea'.*--family FILE.py"):
        replay(golden, "vea")


def test_unknown_levels_and_rungs_are_told(golden, copied, monkeypatch):
    with pytest.raises(UserError, match="unknown level 'output'"):
        replay(golden, only=("output",))
    with pytest.raises(UserError, match="unknown rung 'f8'"):
        replay(golden, only=("names",), rungs=("f8",))
    told = files.manifest(copied)
    told["rungs"].pop("f16")
    (copied / "manifest.json").write_text(json.dumps(told | {"sha256": files.seal(told)}))
    with pytest.raises(UserError, match="the bundle has no rung 'f16': where it was frozen there were float32, bf16"):
        replay(copied, only=("names",), rungs=("f16",))


def test_the_command_line_form_of_both_commands(golden, tmp_path, capsys):
    with pytest.raises(UserError, match="unknown family 'vea'"):
        settings.call(freeze_command, ["vea", "--out", str(tmp_path)], "jaxgen parity freeze", "case")
    with pytest.raises(UserError, match="no bundle here"):
        settings.call(replay_command, [str(tmp_path), "--rung", "float32"], "jaxgen parity replay", "folder")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        files.write(tmp_path / "file", {}, {})
