"""The proof as a product: chosen levels, precision rungs, leaks, the diagnosis of faults, reports, bad input."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
import torch
from cases import BY_NAME
from tool import command

from jaxgen import find, nn, parity
from jaxgen.parity import ladder, leaks, ties
from jaxgen.parity.compare import LEVELS, Row
from jaxgen.parity.diagnosis import diagnose
from jaxgen.parity.mutations import Planted, local, place, specimen
from jaxgen.parity.result import Result, report

FAULTS = {mutation.name: mutation for mutation in local()}
VAE, SPECIMEN = BY_NAME["vae"], specimen()


@pytest.mark.parametrize(
    "name",
    [
        "transposed convolution: output padding before",
        pytest.param("group norm: eps", marks=pytest.mark.slow),
        pytest.param("activation: relu at zero", marks=pytest.mark.slow),
    ],
)
def test_layer_cause_and_cure_of_a_planted_fault(name):
    fault = FAULTS[name]
    path = place(fault, SPECIMEN)
    told = diagnose(Planted(SPECIMEN, fault, path), failed(SPECIMEN))
    assert (told.layer, told.cause) == (path, fault.cause), told
    assert told.inherited < 1e-9 < told.local and told.cure in str(told)


def failed(case):
    """A result with which the diagnosis begins without a verification of its own."""
    return Result(case, [Row("outputs", {"x": 1.0})])


def test_a_fault_between_layers_is_told_from_one_of_a_layer(monkeypatch):
    """The decoder is right and is given something else."""
    from jaxgen.families.vae import VAE as Net

    monkeypatch.setattr(Net, "reparameterize", lambda self, mu, logvar, eps: mu + eps * jnp.exp(logvar))
    told = diagnose(VAE)
    assert told.layer is None and "vae.decoder.0 (call 1) is given something else" in str(told)
    assert "between vae.encoder (call 1)" in str(told)


def test_a_fault_behind_the_layers_names_the_level(monkeypatch):
    right = nn.binary_cross_entropy_with_logits
    monkeypatch.setattr(nn, "binary_cross_entropy_with_logits", lambda *args, **how: 2 * right(*args, **how))
    assert "the loss is not" in str(diagnose(VAE))


def test_nothing_differs():
    told = diagnose(VAE, Result(VAE, [Row("outputs", {"x": 0.0})]))
    assert told.nothing and str(told) == "nothing differs"


def test_float32_sees_a_variance_in_one_pass():
    """Which float64 cannot see, being the same formula."""
    fault = next(mutation for mutation in FAULTS.values() if mutation.cause == "variance in one pass")
    faulty = Planted(SPECIMEN, fault, place(fault, SPECIMEN))
    with jax.enable_x64(True):
        (rung,) = ladder.climb(faulty, ("float32",))
    assert not rung["ok"] and "large mean" in rung["where"]


def test_as_accurate_as_pytorch_in_half_precision():
    with jax.enable_x64(True):
        rungs = ladder.climb(VAE, ("float32", "bf16"))
    assert all(rung["ok"] for rung in rungs)


def test_a_leak_has_its_source_line():
    def leaky(x):
        return jnp.exp(x.astype(jnp.float32)).astype(x.dtype)

    (cast, exp) = leaks.narrow(jax.make_jaxpr(jax.jit(leaky))(jnp.ones(3)))
    assert (exp["op"], exp["dtype"]) == ("exp", "float32")
    assert exp["source"].startswith("test_proof.py:") and "leaky" in exp["source"]
    assert not leaks.narrow(jax.make_jaxpr(lambda x: jnp.exp(x) + jnp.argmax(x))(jnp.ones(3)))


def test_chosen_levels_alone(tmp_path):
    result = parity.verify(VAE, only=("losses",))
    assert [row.level for row in result] == ["signatures", "names", "losses"] and result.ok
    result.json(tmp_path / "out.json")
    result.html(tmp_path / "out.html")
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["ok"] and told["results"][0]["case"] == "vae" and told["precision"]["torch"]
    assert "vae" in (tmp_path / "out.html").read_text()


def test_the_command_writes_and_tells_the_exit_code(as_a_user, monkeypatch, capsys):
    """Of a family that is right, and of the same with a fault: then the diagnosis stands in the answer."""
    how = ("verify", "vae", "--level", "outputs", "trajectory", "--trajectory", "4")
    assert command(*how, "--json", "right.json", "--html", "right.html") == 0
    told = json.loads(Path("right.json").read_text())
    case = told["results"][0]
    assert told["ok"] and case["layers"] and case["weights"][0]["rule"] == "as it is"
    assert len(case["trajectory"]["step"]) == 4
    from jaxgen.families.vae import VAE as Net

    monkeypatch.setattr(Net, "reparameterize", lambda self, mu, logvar, eps: mu + eps * jnp.exp(logvar))
    capsys.readouterr()
    assert command("verify", "vae", "--level", "outputs", "--processes", 1) == 1  # where the fault is
    assert "is given something else" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, told",
    [
        (("verify", "vae", "--level", "outpts"), "unknown level 'outpts'"),
        (("verify", "vae", "--rung", "tf32"), "unknown rung 'tf32'"),
        (("verify", "nowhere.py:case"), "no such file"),
        (("verify", "empty.py"), "expected a class named Family, or cases"),
        (("parity", "maps"), "unknown command 'parity maps'"),
        (("parity", "diagnose"), "which case?"),
        (("parity", "map", "vea"), "Did you mean vae?"),
    ],
)
def test_bad_input_is_one_line(words, told, as_a_user, capsys):
    Path("empty.py").touch()
    assert command(*words) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1


def test_the_map_converts_weights(as_a_user, capsys):
    """Of a family: as they are, and back into the torch module."""
    from safetensors.torch import load_file

    assert command("parity", "map", "vae", "--write", "out.safetensors", "--json", "map.json") == 0
    assert "the tree is" in capsys.readouterr().out
    twin = find.twin("vae")(**find.family("vae").small)
    twin.load_state_dict(load_file("out.safetensors"), strict=True)
    assert json.loads(Path("map.json").read_text())["rules"]


def test_every_level_is_described():
    told = report([Result(VAE, [Row(name, {"x": 0.0}) for name in LEVELS])])
    assert all(level["about"] for level in told["results"][0]["levels"])


def test_only_ties_that_round_off_breaks_jump():
    """Numbers that are equal stay so, whatever is done to their last bits."""
    net = torch.nn.Sequential(torch.nn.Identity(), torch.nn.MaxPool1d(2))

    def slopes(x):
        x = x.clone().requires_grad_()
        net(x).sum().backward()
        return x.grad

    steps = torch.randint(0, 4, (1, 1, 64), generator=torch.Generator().manual_seed(0)).double()
    for x, same in ((torch.full_like(steps, 0.3), True), (0.3 * (1 + steps * 2.0**-52), False)):
        with ties.shaken(net):
            told = slopes(x)
        assert torch.equal(told, slopes(x)) == same
