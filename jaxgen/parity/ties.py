"""Ties that round-off breaks: where a maximum is shared by values that are equal on paper, which of them gets the
gradient is a matter of the last bit, and two right programs differ by all of it."""

from contextlib import contextmanager

from jaxgen.errors import needs
from jaxgen.parity import sides
from jaxgen.parity.compare import FORWARD, Row, compare, largest

LAST_BITS = 2.0**-50
MIX = 0x9E3779B1  # makes neighbouring numbers unlike each other
REASON = "a tie: PyTorch's own gradient jumps when the last bits of its layers' outputs are changed"


def jumps(setting, player, given, want):
    """{(level, array)} of a player's turn that PyTorch answers otherwise, beyond the gate, when each layer returns its
    output times 1 +- 2^-50. The sign is that of the number itself, so equal numbers stay equal and zeros zero: the
    conventions at ties and kinks that are exact are compared all the same."""
    setting.give()
    with shaken(setting.twin):
        again = sides.their_turn(setting.twin, setting.family, player, given)
    found = set()
    for level in {"gradients", "inputs"} & want.keys():
        row = compare(level, again[level], want[level], floor=1e-4 * largest(want[level]))
        found |= {(level, key) for key, error in row.errors.items() if not error <= FORWARD}
    return found


@contextmanager
def shaken(twin):
    torch = needs("torch", "verify")

    def shake(module, args, result):
        if not isinstance(result, torch.Tensor) or not result.is_floating_point():
            return None
        bits = result.detach().double().contiguous().view(torch.int64)
        mixed = (bits * MIX) ^ (bits * MIX >> 29)
        signs = (mixed >> 7 & 1).to(result) * 2 - 1
        return result * (1 + LAST_BITS * signs)

    hooks = [x.register_forward_hook(shake) for x in twin.modules() if not any(True for _ in x.children())]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def excused(row, found) -> Row:
    """The row without what jumps, which is listed."""
    keys = {f"{level}, {key}" for level, key in found} & row.errors.keys()
    errors = {key: error for key, error in row.errors.items() if key not in keys}
    return row._replace(errors=errors, left_out=row.left_out | dict.fromkeys(keys, REASON))
