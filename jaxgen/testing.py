"""Parity as tests of pytest: each level of each case is a test of its own, and a failure is five lines.

from jaxgen.testing import parity_test

test_port = parity_test(my_case, "vae", rungs=("float32",))

This is the plugin too. Nothing of JAX or PyTorch is imported before such a test is collected."""

from typing import Any, NamedTuple

import pytest


class Asked(NamedTuple):
    """What `parity_test` was told."""

    cases: tuple[Any, ...]
    rungs: tuple[str, ...]
    levels: tuple[str, ...]
    steps: int
    trajectory: int


def parity_test(
    *cases: Any,  # made by jaxgen.parity.case, or names as `jaxgen verify` takes them: "vae", "FILE.py:CASE"
    rungs: tuple[str, ...] = (),  # precisions to judge beside float64 (float32, tf32, bf16, f16), or ("all",)
    levels: tuple[str, ...] = (),  # only these
    steps: int = 3,  # optimiser steps compared in full
    trajectory: int = 0,  # steps of which the losses are compared
):
    """A test function for a test file: one test for each level and each rung of each case, which is verified once."""

    def test(parity_check):
        parity_check()

    test.parity = Asked(cases, rungs, levels, steps, trajectory)  # type: ignore[attr-defined]
    return test


def pytest_addoption(parser):
    group = parser.getgroup("parity", "parity of PyTorch and JAX (jaxgen)")
    about = "judge this precision too: float32, tf32, bf16, f16, or all (again for more)"
    group.addoption("--parity-rung", action="append", default=[], metavar="RUNG", help=about)
    group.addoption("--parity-level", action="append", default=[], metavar="LEVEL", help="only this level (again ...)")


def pytest_generate_tests(metafunc):
    asked = getattr(metafunc.function, "parity", None)
    if not isinstance(asked, Asked):
        return
    from jaxgen.errors import UserError
    from jaxgen.parity import testing

    try:
        checks = testing.checks(asked, metafunc.config)
    except UserError as error:
        raise pytest.Collector.CollectError(str(error)) from error
    metafunc.parametrize("parity_check", checks, ids=str, indirect=True)


@pytest.fixture
def parity_check(request):
    """Fails, in five lines, if the level does not hold."""
    from jaxgen.parity import testing

    return lambda: testing.run(request.param, request.node)
