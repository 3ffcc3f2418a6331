"""Every row of the errata: the printed code still fails as the row says, the mended one works, the page tells the
same."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from errata_faults import FAULTS
from PIL import Image

from jaxgen.errors import UserError
from jaxgen.parity import errata
from jaxgen.parity.errata import curves, page, rows
from jaxgen.parity.errata.document_001 import vae as document_001

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
    assert row.until in ("", "text", "metrics and deployment")
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
    assert "47 rows are mended" in text and "6 for metrics and deployment, 4 for text." in text


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


@pytest.mark.parametrize(
    "name, half, owner, what, fault", FAULTS, ids=[f"{name}-{what}" for name, _, _, what, _ in FAULTS]
)
def test_a_planted_fault_is_noticed(name, half, owner, what, fault, monkeypatch):
    monkeypatch.setattr(document_001, "trained", document_001.trained.__wrapped__)  # not what was trained before
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


def test_both_curves_of_the_collapse_are_shown(tmp_path, capsys):
    file, picture = tmp_path / "errata.json", tmp_path / "errata.png"
    assert errata.errata(("B1.9", "B2.1"), json=str(file), plot=str(picture))
    told, (collapse, other) = capsys.readouterr().out, json.loads(file.read_text())
    documented, bernoulli = (collapse["curves"][name] for name in ("documented", "bernoulli"))
    assert documented["steps"] == bernoulli["steps"] == list(range(1, document_001.STEPS + 1))
    assert documented["values"][-1] < 0.01 and bernoulli["values"][-1] > 1 and "curves" not in other
    for name, curve in collapse["curves"].items():
        assert f" {name} {curve['values'][-1]:.2g}\n" in re.sub(" +\n", "\n", told)
    assert "KL divergence, nats an image" in told and "training step" in told
    with Image.open(picture) as image:
        assert image.format == "PNG" and len(image.getcolors(1 << 20)) > 10


def test_a_chart_has_a_dot_for_each_value():
    """Seven lines a decade, where there are two; what is not above zero stands at the least that is."""
    drawn = {"high": ((1, 2, 40), (10, 10, 10)), "low": ((1, 20, 21, 40), (0.1, 0.1, 1, -1e-9))}
    lines = curves.chart(drawn, ("step", "nats")).plain.split("\n")
    assert lines[0] == "nats, logarithmic" and [lines[i].split()[0] for i in (1, 8, 15)] == ["10", "1", "0.1"]
    assert lines[1].endswith(f"┤{'⠤' * 40} high 10") and all(line.endswith(f"│{' ' * 40}") for line in lines[2:8])
    assert lines[8].endswith(f"┤{' ' * 20}⢠⣀{' ' * 18}") and all("⠀" < line.strip()[-1] < "⣿" for line in lines[9:15])
    assert lines[15].endswith(f"┤{'⠤' * 19}⠜{' ' * 18}⠈⠢ low -1e-09")
    assert lines[17].split() == ["1", "step", "40"]


def test_a_chart_hides_no_row_where_training_failed():
    drawn = {"none": ((1, 2), (0.0, float("nan"))), "some": ((1, 2), (10.0, float("inf")))}
    assert " some inf\n" in curves.chart(drawn, ("step", "nats")).plain


def test_curves_that_end_together_are_named_one_below_the_other():
    same = (1, 2), (1.0, 1.0)
    told = curves.chart({"one": same, "two": same}, ("step", "nats")).plain
    assert told.index(" one 1\n") < told.index(" two 1\n")


@pytest.mark.parametrize(
    "name, plot, told", [("B2.1", "a.png", "none of these rows has curves"), ("B1.9", "a.gif", "expected FILE.png")]
)
def test_what_cannot_be_plotted_is_one_line(name, plot, told, tmp_path):
    with pytest.raises(UserError, match=told):
        errata.errata((name,), plot=str(tmp_path / plot))


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
