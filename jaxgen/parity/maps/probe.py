"""Which of several layouts is the right one? Shapes cannot tell that of a square kernel: the numbers can."""

import copy
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.errors import UserError, needs
from jaxgen.parity.maps import algebra, models
from jaxgen.parity.maps.layers import Layer, as_ours, running
from jaxgen.parity.maps.parts import COUNTER, Part
from jaxgen.parity.maps.torch_side import tensor, tensors

CLEAR = 1e-3  # a choice is settled where its error is below this part of the next best: a wrong layout is wrong by 1
LARGE = 64 * 64  # pixels
MOST = 1000  # combinations tried for one layer


class Choice(NamedTuple):
    taken: int
    settled: bool
    text: str


def settle(errors, closest=False) -> Choice:
    """The option that agrees, if one does so clearly; else the first, which is the usual one, or the closest."""
    best, after = (int(i) for i in np.argsort(errors, kind="stable")[:2])
    told = [f"{errors[i]:.0e}" if errors[i] else "0" for i in (best, after)]
    if errors[best] < CLEAR * errors[after]:
        return Choice(best, True, f"settled by a probe: {told[0]}, the next best {errors[after]:.1g}")
    if errors[best] == errors[after]:
        seen = np.isfinite(errors[best])
        return Choice(0, False, "the probe cannot tell" if seen else "probe: none agrees in its shape")
    if closest:
        return Choice(best, False, f"probe: none agrees, the closest by {told[0]}, the next by {told[1]}")
    return Choice(0, False, f"probe: none agrees ({errors[0]:.1g}; the others {min(errors[1:]):.1g} or more)")


def distance(have, want):
    """The root of the mean square of the difference, in units of what is wanted; 1.4 for unrelated numbers."""
    if np.shape(have) != np.shape(want):
        return np.inf
    have, want = np.asarray(have, float), np.asarray(want, float)
    gap, unit = (float(np.sqrt(np.mean(np.square(x)))) if x.size else 0.0 for x in (have - want, want))
    return float(np.nan_to_num(gap / unit, nan=np.inf)) if unit else gap and np.inf


def probed(theirs: Layer, ours: Layer, found: list[Part], model, calls) -> list[tuple[Part, tuple, str]]:
    """-> of each part the steps to take and the reason; one layer runs alone on both sides with the same numbers."""
    ways = list(product(*(part.options for part in found)))
    choice = settle_layer(theirs, ours, found, ways, model, calls) if len(ways) > 1 else Choice(0, False, "")
    return [one(part, steps, choice) for part, steps in zip(found, ways[choice.taken], strict=True)]


def one(part, steps, choice):
    """What a user has given is taken, and told to be wrong where the probe says so."""
    if part.given:
        wrong = f"WRONG: {algebra.told(steps)} is {choice.text}" if steps != part.options[0] else choice.text
        return part, part.options[0], "; ".join(filter(None, ["steps given", wrong]))
    return part, steps, "; ".join(filter(None, [part.reason, choice.text if len(part.options) > 1 else ""]))


def settle_layer(theirs, ours, found, ways, model, calls):
    inputs = None if theirs.inner else example(theirs, calls)
    if inputs is None or len(ways) > MOST:
        open_ = [part for part in found if len(part.options) > 1 and not part.given]
        if open_ and not (theirs.inner and calls):  # a module that holds others is probed with these, later
            name, count = open_[0].torch[0], len(open_[0].options)
            raise UserError(
                f"weight map: {count} layouts fit {name}, and no probe can tell which it is. Give inputs=(x, ...), or "
                f"overrides={{{name!r}: permute(...)}}."
            )
        return Choice(0, False, "")
    weights, want = there(theirs, inputs)
    lone, names = models.side(model).lone(model, ours)
    lone, arguments = models.double(lone), [as_ours(theirs, ours, x) for x in inputs]
    arguments = arguments[:1] if all(x is inputs[0] for x in inputs) else arguments  # attention to itself

    def error(way):
        arrays = {}
        for part, steps in zip(found, way, strict=True):
            made = algebra.applied(steps, [weights[name] for name in part.torch])
            arrays |= {names[path]: x for path, x in zip(part.jax, made, strict=True)}
        return distance(here(models.put(lone, arrays), arguments), as_ours(theirs, ours, want, given=False))

    return settle([error(way) for way in ways])


def there(theirs, inputs):
    """-> {full name: random array}, and what the torch layer makes of the inputs with them."""
    torch, random = needs("torch", "verify"), np.random.default_rng(0)
    one = copy.deepcopy(theirs.module).cpu().double().eval()
    weights = {name: random.normal(size=shape) for name, (_, shape) in theirs.tensors.items() if name != COUNTER}
    weights |= {name: np.abs(x) + 0.5 for name, x in weights.items() if name == "running_var"}
    one.load_state_dict({name: tensor(x) for name, x in weights.items()}, strict=False)
    with running("PyTorch"), torch.no_grad():
        want = tensors(one(*map(tensor, inputs)))[0]
    return {theirs.tensors[name][0]: x for name, x in weights.items()}, want


def here(lone, arguments):
    """What the JAX layer makes of the same inputs; nothing, where it cannot take them."""
    try:
        return jax.tree.leaves(models.call(lone, *map(jnp.asarray, arguments)))[0]
    except Exception:  # a stranger's layer may refuse in any way; then the probe says that nothing agrees
        return np.zeros(0)


def example(theirs, calls):
    """Inputs for a torch layer alone, in its layout, of the sizes that it meets; None if nobody knows."""
    random, one = np.random.default_rng(1), theirs.module
    taken = calls[theirs.path][0][0] if theirs.path in calls else []
    if theirs.kind == "linear":
        return [random.normal(size=(3, one.in_features))]
    if theirs.kind in ("conv", "conv_transpose"):
        return [random.normal(size=(2, one.in_channels, *space(one, taken[0].shape[2:] if taken else ())))]
    if theirs.kind == "embedding":
        return [np.arange(one.num_embeddings)]
    if theirs.kind == "layer_norm":
        return [random.normal(size=(2, *one.normalized_shape))]
    if theirs.kind == "attention":
        x = random.normal(size=(4, 4, one.embed_dim))
        other = lambda width: x if width == one.embed_dim else random.normal(size=(4, 4, width))
        return [x, other(one.kdim), other(one.vdim)]
    return [random.normal(size=x.shape) if np.issubdtype(x.dtype, np.floating) else x for x in taken] or None


def space(conv, known):
    """The size of an image for a convolution: that which it meets, unless it is large or hides a part of the kernel;
    else one that its stride divides."""
    reach = [d * (k - 1) + 2 for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    if known and np.prod(known) <= LARGE and all(a >= b for a, b in zip(known, reach, strict=True)):
        return known
    return [((r + 2 + i) // s + 1) * s for i, (r, s) in enumerate(zip(reach, conv.stride, strict=True))]
