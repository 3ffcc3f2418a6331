"""Ports as tests: one for each level of a case, five lines where one fails; nobody else's tests are touched."""

import os
import subprocess
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from jaxgen.errors import UserError
from jaxgen.parity import Result, pairs, testing
from jaxgen.parity.compare import Row
from jaxgen.testing import parity_test

pytest_plugins = ["pytester"]

PAIRS = """
    import torch
    from flax import nnx

    from jaxgen.parity import case
    from jaxgen.testing import parity_test

    torch.manual_seed(0)
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.GroupNorm(2, 6))


    class Port(nnx.Module):
        def __init__(self, epsilon):
            rngs = nnx.Rngs(0)
            self.linear = nnx.Linear(4, 6, rngs=rngs)
            self.norm = nnx.GroupNorm(6, num_groups=2, epsilon=epsilon, use_fast_variance=False, rngs=rngs)

        def __call__(self, x):
            return self.norm(self.linear(x))


    right, wrong = (case(theirs, Port(eps), {"x": (4, 4)}, name=f"eps {eps}") for eps in (1e-5, 1e-6))
    test_port = parity_test(right, wrong, levels=("names", "outputs"))
"""
DEFAULT = ("-p", "jaxgen.testing", "-p", "no:cacheprovider")


def test_a_wrong_port_fails_in_five_lines_and_a_right_one_passes(pytester):
    pytester.makepyfile(test_ports=PAIRS)
    ran = pytester.runpytest_subprocess(*DEFAULT, "-W", "error", "-v", "--parity-rung=float32", "--junitxml=out.xml")
    ran.assert_outcomes(passed=4, failed=2)
    ran.stdout.fnmatch_lines(["*test_ports.py::test_port[[]eps 1e-05-float32[]] PASSED*"])
    ran.stdout.fnmatch_lines(
        [
            "_* test_port[[]eps 1e-06-outputs[]] _*",
            "eps 1e-06: outputs: net: net.1 (call 1) differs",
            "error *e-0? of the array's largest value (gate 1e-09), *e+0? times the gate",
            "first divergence: GroupNorm net.1 (forward): its own error *e-0?, inherited *e-1?",
            "likely cause: equals torch with eps 1e-06 instead of 1e-05; *epsilon=1e-05*",
            "again: pytest 'test_ports.py::test_port[[]eps 1e-06-outputs[]]' --parity-rung float32",
            "_* test_port[[]eps 1e-06-float32[]] _*",
        ],
        consecutive=True,
    )
    cases = {each.get("name"): each for each in ElementTree.parse(pytester.path / "out.xml").iter("testcase")}
    noted = {x.get("name"): x.get("value") for x in cases["test_port[eps 1e-06-outputs]"].iter("property")}
    assert float(noted["parity_error"]) > 1e-5 and noted["parity_where"] == "net: net.1 (call 1)"
    noted = {x.get("name"): x.get("value") for x in cases["test_port[eps 1e-05-float32]"].iter("property")}
    assert float(noted["parity_ratio"]) < float(noted["parity_gate"])


def test_options_select_levels_and_add_rungs(pytester):
    """Collecting builds the cases by name, and verifies nothing. An unknown name is one line."""
    pytester.makepyfile(
        test_vae="from jaxgen.testing import parity_test\ntest_vae = parity_test('vae', trajectory=5)",
        test_vea="from jaxgen.testing import parity_test\ntest_vea = parity_test('vea')",
    )
    options = ("--parity-level=outputs", "--parity-level=trajectory", "--parity-rung=bf16")
    ran = pytester.runpytest_subprocess(*DEFAULT, "--collect-only", "-q", *options)
    names = [line.partition("::")[2] for line in ran.outlines if "::" in line]
    assert names[:3] == ["test_vae[vae-outputs]", "test_vae[vae-trajectory]", "test_vae[vae-bf16]"]
    cases = len(list(pairs.cases("vae")))
    assert len(names) == 3 * cases > 3 and "likelihood=documented" in names[3]
    ran.stdout.fnmatch_lines(["unknown family 'vea'. Did you mean vae?"])
    assert "Traceback" not in ran.stdout.str()


def test_other_tests_are_not_touched_and_nothing_heavy_is_imported(tmp_path):
    (tmp_path / "test_other.py").write_text("def test_other():\n    parity = 1\n    assert parity\n")
    heavy = "{'jax', 'torch', 'flax', 'numpy'} & set(sys.modules)"
    arguments = [str(tmp_path), "-q", "-W", "error", "-p", "jaxgen.testing", "-p", "no:cacheprovider"]
    code = f"import sys, pytest; assert not pytest.main({arguments}); assert not {heavy}, {heavy}"
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # other plugins may import NumPy
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=alone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_level_that_was_not_reached_fails():
    """Names differ, so outputs are not compared, or nobody compared them: a test of outputs alone must not pass."""
    check = testing.Check((0, 0), "some case", "outputs", None)
    found = {("diagnosis", check.key): ("first divergence: ...", "likely cause: ...")}
    config = SimpleNamespace(stash={testing.VERIFIED: found}, getoption=lambda name: [],
                             invocation_params=SimpleNamespace(dir="/"))  # fmt: skip
    item = SimpleNamespace(config=config, user_properties=[], path="/t.py", nodeid="t.py::test_port[x]")
    for error, told in ((float("inf"), r"names: conv.weight differs\nerror infinite"), (0.0, "nothing was compared")):
        found[check.key] = Result("some case", [Row("names", {"conv.weight": error}, 0.0)])
        with pytest.raises(pytest.fail.Exception, match=told) as failed:
            testing.run(check, item)
        assert len(str(failed.value).splitlines()) == 5


def test_unknown_levels_and_rungs_are_refused():
    config = SimpleNamespace(getoption=lambda name: [])
    for wrong, match in (
        ({"levels": ("output",)}, "unknown level 'output'"),
        ({"rungs": ("f8",)}, "unknown rung 'f8'"),
    ):
        with pytest.raises(UserError, match=match):
            testing.checks(parity_test("vae", **wrong).parity, config)
