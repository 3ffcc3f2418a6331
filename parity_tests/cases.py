"""Every family beside its twin: the test-sized form, and one more for each further value of an argument
that has a choice."""

from names import NAMES, twin_file

from jaxgen import parity

CASES = [case for name in NAMES for case in parity.cases(name, twin_file(name))]
BY_NAME = {str(case): case for case in CASES}
FIRST = {case.name: case for case in reversed(CASES)}
