"""Every row of the errata: the printed code still fails as the row says, the mended one works, the page tells the
same."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import torch_ref.backbones.documented as torch_documented
from jaxgen import core, data, nn, objectives
from jaxgen.backbones import documented, unet
from jaxgen.diffusion import guidance, multistep, schedules
from jaxgen.errors import UserError
from jaxgen.families import ddpm
from jaxgen.functional import Functional
from jaxgen.parity import errata
from jaxgen.parity.errata import page, rows
from torch_ref.diffusion.process import DiffusionProcess

ROOT = Path(__file__).parent.parent
ROWS = rows.every()


@pytest.mark.parametrize("name", ROWS)
def test_the_failure_occurs(name):
    occurs, told = errata.observed(ROWS[name].failure)
    assert occurs, told


@pytest.mark.parametrize("name", ROWS)
def test_the_mend_holds(name):
    holds, told = errata.observed(ROWS[name].mended)
    assert holds, told


def test_every_row_of_the_list_is_there():
    counts = {"000": 13, "001": 11, "002": 21, "003": 8, "004": 4}
    assert list(ROWS) == [f"B{int(name)}.{i}" for name, count in counts.items() for i in range(1, count + 1)]


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_told_in_full(name):
    row = ROWS[name]
    assert row.severity in (rows.STOPS, rows.WRONG, rows.HAZARD, rows.STOPS_OR_WRONG)
    assert row.until in ("", "diffusion", "GANs and VAEs", "text", "metrics and deployment")
    assert re.fullmatch(r"\d+(-\d+)?(, \d+(-\d+)?)*", row.lines), row.lines
    assert row.printed.endswith(".") and row.mend.endswith("."), row
    assert len(row.printed) < 260 and len(row.mend) < 260, "two lines, not a story"


def test_the_page_is_what_the_code_says():
    """Else: jaxgen parity errata --write docs/errata.md"""
    assert (ROOT / "docs" / "errata.md").read_text(encoding="utf-8") == page.markdown(ROWS.values())


def test_the_page_counts_what_waits():
    text = page.markdown(ROWS.values())
    mended, waiting = (int(re.search(rf"(\d+) {what}", text)[1]) for what in ("rows are mended", "belong to"))
    assert mended == text.count("*Mended*") and waiting == text.count("*Mend, waits for")
    assert mended + waiting == text.count("- **B") == 57


class Cured:
    """A failure that no longer occurs: torch would have learned to group one channel by eight."""

    def failure(self):
        return rows.raised(ValueError, "must be divisible", lambda: torch.nn.GroupNorm(1, 1))

    def mended(self):
        return rows.seen(1 + 1 == 3, "1 + 1 = 2")


def planted(monkeypatch, failure, mended):
    row = ROWS["B2.1"]._replace(failure=failure, mended=mended)
    monkeypatch.setattr(errata, "chosen", lambda ids: [row, ROWS["B3.4"]])


def test_a_failure_that_no_longer_occurs_is_told(monkeypatch, capsys):
    planted(monkeypatch, Cured().failure, ROWS["B2.1"].mended)
    assert not errata.errata()
    told = capsys.readouterr().out
    assert "B2.1: the failure does not occur: no ValueError" in told
    assert "1 of 2 failures occur, 2 of 2 mends hold" in told


def test_a_mend_that_does_not_hold_is_told(monkeypatch, capsys):
    planted(monkeypatch, ROWS["B2.1"].failure, Cured().mended)
    assert not errata.errata()
    assert "B2.1: the mend does not hold: 1 + 1 = 2" in capsys.readouterr().out


def test_another_error_is_told_and_hides_no_row(monkeypatch, capsys):
    """One kind, one message: what stops for another reason is not the failure."""
    planted(monkeypatch, lambda: rows.raised(ValueError, "groups", lambda: torch.zeros(2).view(3)), lambda: 1 / 0)
    assert not errata.errata()
    told = capsys.readouterr().out
    assert "B2.1: the failure does not occur: RuntimeError: shape '[3]' is invalid" in told
    assert "B2.1: the mend does not hold: ZeroDivisionError" in told and "B3.4" in told
    assert rows.raised(ValueError, "must be", lambda: torch.nn.GroupNorm(8, 1))
    with pytest.raises(rows.NotSeen, match="divisible"):
        rows.raised(ValueError, "another message", lambda: torch.nn.GroupNorm(8, 1))


def sampled_in_training(self, params, stats, draws):
    return self.apply(params, stats, draws, method="sample", train=True)[0]


def of_columns(self, time, x):
    """A row's factors, but as printed along the width."""
    left = jnp.asarray(self.alphas_cumprod())[time]
    return left**0.5, (1 - left) ** 0.5


def eta_too_large(path, eta):
    """The noise of the point that is gone to, not of the step."""
    noise = eta * path.sigma[1:]
    keep = np.sqrt(path.sigma[1:] ** 2 - noise**2) / path.sigma[:-1]
    return multistep.Table(keep, path.alpha[1:] - keep * path.alpha[:-1], 0 * keep, noise)


def silent_to_zero(path, eta, table=multistep.ddim_table):
    """Without noise in the step to time 0, as printed."""
    made = table(path, eta)
    return made._replace(noise=np.where(path.time[1:] > 0, made.noise, 0))


def all_kept(step, carry, tables, frames=0):
    """All images, of which the last is used."""

    def keeping(carry, row):
        carry = step(carry, row)
        return carry, carry[0]

    return jax.lax.scan(keeping, carry, tables)[1][-1]


def never_moving(step, carry, tables, frames=0):
    return jnp.stack([carry[0]] * frames)


FAULTS = [  # what is planted in jaxgen or in torch, and which half of a row must notice
    ("B0.9", "mended", core, "average", lambda old, new, decay: new),
    ("B1.2", "mended", data, "fit_images", lambda images, height, width, channels: images[:, :32, :32].repeat(3, -1)),
    ("B1.7", "mended", objectives, "bce", objectives.bce._replace(gen=lambda fake: -objectives.bce_half.gen(fake))),
    ("B0.4", "mended", ddpm.Family, "at", of_columns),
    ("B0.5", "mended", schedules, "vp_alpha", lambda t, *betas: np.exp(-0.25 * 0.02 * np.asarray(t) ** 2)),
    ("B0.6", "mended", DiffusionProcess, "extract", lambda self, a, t, x: a.gather(-1, t.cpu())),
    ("B2.1", "mended", torch.nn, "GroupNorm", lambda groups, channels: torch.nn.Identity()),
    ("B2.2", "mended", torch_documented, "sinusoidal", lambda t, features: t[:, None].expand(-1, features) * 0),
    ("B2.3", "mended", documented, "joined", lambda x, skip: jnp.concatenate([x.repeat(2, 1), skip], -1)),
    ("B2.5", "mended", unet, "zeroed", lambda layer: layer),
    ("B2.6", "mended", schedules, "documented", schedules.leading),
    ("B2.7", "mended", multistep, "ddim_table", eta_too_large),
    ("B2.8", "mended", multistep, "ddim_table", silent_to_zero),
    ("B2.9", "mended", guidance, "thresholded", lambda denoise: denoise),
    ("B2.10", "mended", multistep, "loop", all_kept),
    ("B2.20", "mended", multistep, "loop", never_moving),
    ("B4.3", "mended", schedules, "document_004", lambda timesteps: 1 - np.arange(timesteps) / timesteps),
    ("B2.4", "mended", nn, "Upsample", lambda **how: lambda x: jax.image.resize(x, (1, 8, 8, 1), "bilinear")),
    ("B2.11", "mended", Functional, "sample", sampled_in_training),
    ("B2.14", "mended", core, "share", lambda family, tree, turn: tree[:8]),
    ("B3.3", "mended", nn, "flatten", lambda x: x.reshape(x.shape[0], -1)),
    ("B3.8", "mended", objectives, "bce", objectives.bce_half),
    ("B2.1", "failure", torch.nn, "GroupNorm", lambda groups, channels: None),
    ("B2.16", "failure", torch, "sqrt", lambda product: torch.linalg.eigvals(product).real.sqrt().diag()),
    ("B2.17", "failure", torch, "log", lambda p: p.clip(1e-30).log()),
    ("B4.1", "failure", torch.nn, "BCELoss", lambda: lambda output, label: (output - label[: output.shape[0]]).mean()),
]


@pytest.mark.parametrize(
    "name, half, owner, what, fault", FAULTS, ids=[f"{name}-{what}" for name, _, _, what, _ in FAULTS]
)
def test_a_planted_fault_is_noticed(name, half, owner, what, fault, monkeypatch):
    monkeypatch.setattr(owner, what, fault)
    fine, told = errata.observed(getattr(ROWS[name], half))
    assert not fine, told


def test_some_rows_are_printed_and_recorded(tmp_path, capsys):
    file, text = tmp_path / "errata.json", tmp_path / "errata.md"
    assert errata.errata(("b2.1", "B0.2"), json=str(file), write=str(text))
    told = capsys.readouterr().out
    assert "document 002, lines 263, 294: does not run; mended" in told
    assert "document 000, line 40: does not run; waits for text" in told
    first, second = json.loads(file.read_text())
    assert (first["id"], first["reproduced"], first["holds"], second["until"]) == ("B2.1", True, True, "text")
    assert first["observed"] == "ValueError: num_channels (1) must be divisible by num_groups (8)"
    assert text.read_text(encoding="utf-8") == page.markdown(ROWS.values())


@pytest.mark.parametrize(
    "name, told",
    [("B2.61", "unknown row 'B2.61' of the errata. Did you mean B2.6"), ("loss", "They go from B0.1 to B4.4")],
)
def test_an_unknown_row_is_one_line(name, told):
    with pytest.raises(UserError, match=re.escape(told)):
        errata.errata((name,))


def test_a_row_leaves_torch_as_it_was():
    torch.manual_seed(3)
    want = torch.rand(2)
    torch.manual_seed(3)
    first, second = (errata.observed(lambda: f"{torch.rand(1).item()}") for _ in range(2))
    assert first == second and torch.equal(torch.rand(2), want)


def test_the_package_imports_no_torch():
    check = "import sys, jaxgen.parity.errata; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
