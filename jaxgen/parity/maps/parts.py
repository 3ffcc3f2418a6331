"""How the tensors of a torch layer belong to those of a JAX layer, and in which ways each may become the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from jaxgen.parity.maps import algebra
from jaxgen.parity.maps.algebra import Split, flip, permute, reshape
from jaxgen.parity.maps.layers import Layer

PARTNERS = {  # the names that Flax gives to what torch calls so
    "weight": ("kernel", "scale", "embedding", "negative_slope"),
    "running_mean": ("mean",),
    "running_var": ("var",),
}
TURNED = ((1, 0), ())  # axes, and those to flip
COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Part:
    """Tensors that belong together, and the ways in which one side may become the other: the kind's own way first."""

    torch: tuple[str, ...]
    jax: tuple[str, ...]
    options: tuple[tuple[algebra.Step, ...], ...]
    reason: str
    given: bool = False


def parts(theirs: Layer, ours: Layer, claimed=()) -> list[Part] | None:
    """How the tensors of a torch layer and of a JAX layer belong together; None where names or sizes do not fit.
    `claimed` are tensors that an override has taken."""
    there, here = ({name: x for name, x in layer.tensors.items() if x[0] not in claimed} for layer in (theirs, ours))
    if COUNTER not in here:
        there.pop(COUNTER, None)
    if theirs.kind == ours.kind == "attention":
        found = list(attention(there, here))
    else:
        found = [one(theirs, ours, there[a], here[b]) for a, b in partners(there, here)]
    used = sum(len(part.torch) + len(part.jax) for part in found)
    return found if used == len(there) + len(here) and all(part.options for part in found) else None


def partners(there, here) -> Iterator[tuple[str, str]]:
    """Pairs of local names: the same, or what Flax calls it, or the only one left."""
    known = [(name, x) for name in there for x in (name, *PARTNERS.get(name, ())) if x in here]
    yield from known
    left, right = there.keys() - dict(known).keys(), here.keys() - {b for _, b in known}
    if len(left) == len(right) == 1:
        yield left.pop(), right.pop()


def attention(there, here) -> Iterator[Part]:
    """nn.MultiheadAttention packs queries, keys and values into one tensor; Flax has three, by head."""
    reason, inner = "queries, keys and values by head", ("query", "key", "value")
    for name, local in (("in_proj_weight", "kernel"), ("in_proj_bias", "bias")):
        three = [here[f"{x}/{local}"] for x in inner if f"{x}/{local}" in here]
        if name in there and len(three) == 3:
            full, (long, *rest) = there[name]
            cut = Split(0, (long // 3,) * 3)
            ways = layouts("linear", (long // 3, *rest), three[0][1], (TURNED if rest else None))
            yield Part((full,), tuple(path for path, _ in three), tuple((cut, *way) for way in ways), reason)
    single = {f"{x[0]}_proj_weight": f"{x}/kernel" for x in inner}  # where keys or values have another width
    for name, path in ({"out_proj.weight": "out/kernel", "out_proj.bias": "out/bias"} | single).items():
        if name in there and path in here:
            ways = layouts("linear", there[name][1], here[path][1], TURNED if path.endswith("kernel") else None)
            yield Part((there[name][0],), (here[path][0],), tuple(ways), reason)


def one(theirs, ours, source, target):
    """One tensor of a layer and its partner."""
    (name, shape), (path, want) = source, target
    kernel = path.endswith("kernel") and len(shape) > 1
    preferred, reason = usual(theirs, ours, len(shape)) if kernel else (None, "")
    return Part((name,), (path,), tuple(layouts(theirs.kind, shape, want, preferred)), reason)


def usual(theirs, ours, rank):
    """-> (axes, axes to flip before) of a kernel, and the reason."""
    space = tuple(range(2, rank))
    if theirs.kind == ours.kind == "conv_transpose":
        if getattr(ours.module, "transpose_kernel", False):
            return ((*space, 1, 0), ()), "transpose_kernel=True: a kernel is (space, out, in)"
        return ((*space, 0, 1), space), "transpose_kernel=False: a kernel is (space, in, out), mirrored"
    return ((*space, 1, 0), ()), "a kernel is (space, in, out)" if space else "a kernel is (in, out)"


def layouts(kind, shape, want, preferred=None) -> Iterator[tuple[algebra.Step, ...]]:
    """Every way in which a tensor of one shape can lie in the other, the preferred first."""
    space = tuple(range(2, len(shape))) if kind in ("conv", "conv_transpose", "own") else ()
    plain = tuple(range(len(shape)))
    orders = permutations(plain) if len(plain) < 6 else [plain]
    ways = [preferred] * bool(preferred) + [(axes, flips) for axes in orders for flips in dict.fromkeys([(), space])]
    seen = set()
    for axes, flips in ways:
        turned = tuple(shape[i] for i in axes)
        same = tuple(tuple(i for i in some if shape[i] > 1) for some in (axes, flips))  # an axis of one may be anywhere
        if same not in seen and aligned(turned, want):
            seen.add(same)
            first, then = [flip(*flips)] * bool(flips), [permute(*axes)] * (axes != plain)
            yield (*first, *then, *[reshape(*want)] * (turned != tuple(want)))


def aligned(shape, want):
    """Whether a reshape only splits axes, or only merges them."""
    ends = [set(np.cumprod([1, *x]).tolist()) for x in (shape, want)]
    return max(np.prod(shape), 1) == max(np.prod(want), 1) and (ends[0] <= ends[1] or ends[1] <= ends[0])
