"""The page of differences between the frameworks is true for the versions installed, and says so when it is not."""

import json
import subprocess
import sys
from functools import cache, partial, partialmethod
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from flax import linen

from jaxgen.errors import UserError
from jaxgen.parity.semantics import page, semantics
from jaxgen.parity.semantics.found import Broken, Differs, Fact
from jaxgen.parity.semantics.rows import check, rows

ROWS = {row.name: row for row in rows()}
PAGE = Path(__file__).parent.parent / "docs" / "differences.md"

checked = cache(lambda name: check(ROWS[name]))


@pytest.mark.parametrize("name", ROWS)
def test_row_is_true(name):
    assert not checked(name).fault, (name, checked(name))


def test_every_row_says_what_each_side_does_and_what_to_do():
    for row in ROWS.values():
        assert all(row[:-1]), row.name
        assert not any("  " in text or text.endswith(".") for text in row[:-1]), row.name


def cells(text):
    """The table rows of a page, its headings between them."""
    lines = [line for line in text.splitlines() if line.startswith(("| ", "## "))]
    return [line.replace("\\|", "&").strip("| ").split(" | ") for line in lines]


@pytest.mark.slow
def test_page_has_the_texts_of_the_code():
    """`jaxgen parity semantics --write docs/differences.md` writes it anew."""
    have, want = (cells(text) for text in (PAGE.read_text(), page.page([checked(name) for name in ROWS])))
    assert [[*row[:3], *row[4:]] for row in have] == [[*row[:3], *row[4:]] for row in want]


@pytest.mark.slow
def test_page_has_the_numbers_that_are_measured():
    """Within a factor of ten: float32 round-off is another on every machine."""
    have, want = (cells(text) for text in (PAGE.read_text(), page.page([checked(name) for name in ROWS])))
    pairs = [(a[3], b[3]) for a, b in zip(have, want, strict=True) if len(a) == 6]
    number = lambda told: float({"∞": "inf"}.get(told, told))
    for a, b in pairs:
        if a != b and a != "off by":
            assert number(b) / 10 <= number(a) <= number(b) * 10, (a, b)


def planted(monkeypatch, name):
    """What a check finds now, not from the cache."""
    found = check(ROWS[name])
    monkeypatch.undo()
    return found.fault


def wrong_padding(monkeypatch):
    from jaxgen.parity.semantics import transposed

    right = transposed._pads
    monkeypatch.setattr(transposed, "_pads", lambda *how: [pair[::-1] for pair in right(*how)])


def wrong_layer(monkeypatch):
    from jaxgen import nn

    monkeypatch.setattr(nn.LeakyReLU, "__call__", lambda self, x: jax.nn.leaky_relu(x, self.slope))


@pytest.mark.parametrize(
    "plant, name", [(wrong_padding, "transposed.same"), (wrong_layer, "activations.leaky_relu_at_zero")]
)
def test_wrong_mapping_is_caught(monkeypatch, plant, name):
    plant(monkeypatch)
    assert planted(monkeypatch, name).startswith("what to do is off by")
    assert not check(ROWS[name]).fault


def exact_gelu(monkeypatch):
    monkeypatch.setattr(jax.nn, "gelu", partial(jax.nn.gelu, approximate=False))


def torch_like_std(monkeypatch):
    monkeypatch.setattr(jax.numpy, "std", lambda x, ddof=1: np.std(x, ddof=1))


@pytest.mark.parametrize("plant, name", [(exact_gelu, "activations.gelu"), (torch_like_std, "numbers.std")])
def test_difference_that_is_gone_is_told(monkeypatch, plant, name):
    plant(monkeypatch)
    assert planted(monkeypatch, name).startswith("no longer so: the default is off by")


def test_default_that_moved_is_told():
    with jax.default_matmul_precision("high"):
        assert check(ROWS["numbers.convolution_precision"]).fault == "no longer so: jax says high"


def test_stated_value_that_moved_is_told(monkeypatch):
    monkeypatch.setattr(linen.BatchNorm, "__init__", partialmethod(linen.BatchNorm.__init__, momentum=0.95))
    assert planted(monkeypatch, "batch_norm.momentum") == "no longer so: the default is another than the row says"


def test_name_that_is_gone_is_told(monkeypatch):
    monkeypatch.delattr(jax.nn, "silu")
    fault = planted(monkeypatch, "activations.alike")
    assert fault.startswith("no longer runs: AttributeError") and "silu" in fault


def test_verdicts():
    row = ROWS["numbers.integers"]
    assert not Differs([1e-3], [1e-15]).fault(row)
    assert Differs([1e-3, 1e-7], [1e-15]).fault(row)  # one of two sides agrees by now
    assert Differs([1e-3], [1e-15, float("nan")]).fault(row)
    assert Differs([float("nan")], [0.0]).fault(row)
    assert Differs([1e-3], [0.0], stated=[1e-3]).fault(row) == "no longer so: the default is another than the row says"
    assert Fact("int64", "int64").fault(row) == "no longer so: jax says int64"
    assert Fact("int64", "int32", [1.0]).fault(row)
    assert Broken("TypeError: no").fault(row)


def test_a_check_leaves_no_trace():
    with jax.enable_x64(False):
        state = torch.get_rng_state()
        assert not check(ROWS["initialisation.truncated"]).fault
        assert torch.equal(state, torch.get_rng_state()) and not jax.config.jax_enable_x64


def test_command_prints_and_writes_the_rows_asked_for(tmp_path, capsys, monkeypatch):
    file = tmp_path / "rows.json"
    monkeypatch.setenv("COLUMNS", "100")
    assert semantics("hardtanh", json=str(file))
    out = capsys.readouterr().out
    assert "1 of 1 rows are true" in out and "gradient at -1 and 1" in out and f"torch {torch.__version__[:4]}" in out
    told = json.loads(file.read_text())
    assert told["ok"] and told["rows"][0]["name"] == "activations.hardtanh_at_bound"


def test_command_fails_on_a_false_row(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(jax.nn, "hard_tanh", lambda x: jax.nn.missing(x))
    assert not semantics("hardtanh", json=str(tmp_path / "rows.json"))
    monkeypatch.undo()
    assert "activations.hardtanh_at_bound: no longer runs: AttributeError" in capsys.readouterr().out
    assert not json.loads((tmp_path / "rows.json").read_text())["ok"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"only": "activations.gelo"}, "only: no row has 'activations.gelo' .* Did you mean activations.gelu"),
        ({"only": "gelu", "write": "page.md"}, "write: the page has all rows"),
    ],
)
def test_bad_input_gives_one_line(arguments, message):
    with pytest.raises(UserError, match=message):
        semantics(**arguments)


def test_file_that_cannot_be_written_gives_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        page.write_json(tmp_path / "none" / "rows.json", [])


def test_torch_is_not_imported_before_it_is_needed():
    code = "import sys, jaxgen.parity.semantics; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
