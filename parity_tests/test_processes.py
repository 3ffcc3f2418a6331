"""Cases over several processes: in their order, and what goes wrong in one is told."""

import operator
import os

import pytest

from jaxgen.errors import UserError
from jaxgen.parity import ladder
from jaxgen.parity.processes import spread


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_in_the_order_of_the_tasks(processes):
    assert list(spread(operator.sub, [(i, 1) for i in range(5)], processes)) == [-1, 0, 1, 2, 3]


def test_an_error_is_that_of_the_task():
    with pytest.raises(UserError, match="unknown rung 'f8'"):
        list(spread(ladder.check, [(("float32",),), (("f8",),)], 2))


def test_a_process_that_dies_is_told():
    with pytest.raises(UserError, match="a process ended without a word"):
        list(spread(os._exit, [(1,), (1,)], 2))
