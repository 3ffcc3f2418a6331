"""The JAX model run with the outputs of its layers taken from the torch model (teacher forcing): what each layer is
then given shows only how the model connects them, whatever is wrong inside them."""

from math import prod

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.errors import UserError
from jaxgen.parity.maps import models
from jaxgen.parity.maps.algebra import Fold
from jaxgen.parity.maps.layers import as_ours
from jaxgen.parity.maps.probe import distance, settle

RESULT = None  # stands for what the whole model returns, beside the paths of layers
SAME = 1e-6
FEATUREWISE = ("batch_norm", "layer_norm", "rms_norm", "instance_norm")  # they keep the order of the features


class Context:
    """`inputs` are those of the JAX model; `trace` is the torch model's run."""

    def __init__(self, trace, pairs, model, forward, inputs):
        self.trace, self.pairs, self.model, self.forward, self.inputs = trace, pairs, model, forward, inputs
        self.hidden = set()  # JAX layers inside jax.checkpoint, where there are no numbers to see

    def run(self, outs, model=None, stranger=None):
        """-> {torch path: what its partner was given, call by call}. `outs` are {torch path: Fold} of outputs whose
        features JAX has in another order; `stranger(path, inputs)` may name the partner of a layer that has none."""
        seen = {}

        def watch(path, module, inputs, compute):
            if any(isinstance(x, jax.core.Tracer) for x in inputs):
                self.hidden.add(path)
                return compute()
            inputs = [np.asarray(x) for x in inputs if hasattr(x, "shape")]
            name = self.pairs.back.get(path) or (stranger and stranger(path, inputs))
            if name is None:
                return compute()
            seen.setdefault(name, []).append(inputs)
            return self.answer(name, len(seen[name]) - 1, outs.get(name), compute)

        seen[RESULT] = [models.run(model or self.model, self.forward, self.inputs, self.pairs.ours, watch)]
        return seen

    def visible(self, paths):
        """Refuses to guess about JAX layers whose numbers cannot be seen."""
        if unseen := sorted(self.hidden.intersection(paths)):
            raise UserError(
                f"weight map: {unseen[0]} of the JAX model runs inside jax.checkpoint, where no probe sees what it is "
                f"given. Build the model without it for the map, or give overrides for {', '.join(unseen[:5])}."
            )

    def tried(self):
        """A run that may be impossible, as with outputs of another size."""
        try:
            return self.run({})
        except UserError:
            return None

    def answer(self, name, call, fold, compute):
        """Torch's output, but for a layer that only holds others, or answers with more than an array."""
        layer, calls = self.pairs.theirs[name], self.trace.calls.get(name, [])
        if layer.inner or call >= len(calls) or calls[call][1] is None:
            return compute()
        if layer.kind == "own" and not hasattr(result := compute(), "shape"):
            return result
        return jnp.asarray(refold(fold, as_ours(layer, self.partner(name), calls[call][1], given=False)))

    def partner(self, name):
        return self.pairs.ours.get(self.pairs.partner.get(name))

    def wanted(self, name, fold=None):
        """What a layer is given in torch, call by call, as JAX should give it."""
        layer, ours = self.pairs.theirs[name], self.partner(name)
        return [[refold(fold, as_ours(layer, ours, x)) for x in taken] for taken, _ in self.trace.calls[name]]

    def error(self, name, seen, fold=None):
        """How far what a layer is given in JAX is from what it should be."""
        if name is RESULT:
            return max(map(either_order, seen[RESULT][0], self.trace.outputs), default=0.0)
        calls = zip(seen.get(name, []), self.wanted(name, fold), strict=False)
        # only the first of what it is given: masks and the like may be given in other ways
        return max((distance(a[0], b[0]) for a, b in calls if a and b), default=0.0)

    def given_same(self, name, path, inputs):
        """Whether a JAX layer is given what a torch layer was given first, flattened in whatever order."""
        taken = self.trace.calls[name][0][0] if name in self.trace.calls else []
        if not (taken and inputs):
            return False
        want = as_ours(self.pairs.theirs[name], self.pairs.ours[path], taken[0])
        return any(distance(inputs[0], refold(fold, want)) < SAME for fold in self.ways(name))

    def choose(self, runs, folds=None, closest=False):
        """Of several runs the one in which the layers whose inputs differ between the runs are given what they should.
        Without `folds`, images may be flattened in any order."""
        able = [run for run in runs if run]
        names = {name for run in able for name in run if any(differ(run[name], other.get(name)) for other in able)}
        ways = {name: self.ways(name) if folds is None else [folds.get(name)] for name in names}
        error = lambda run, name: min(self.error(name, run, fold) for fold in ways[name])
        worst = lambda run: max((error(run, name) for name in names), default=0.0)
        return settle([worst(run) if run else np.inf for run in runs], closest)

    def ways(self, name):
        """The orders in which the features may come that a layer is given."""
        taken = self.trace.calls[name][0][0] if name in self.trace.calls else []
        return [None, *(orders(self.trace, taken[0].shape[-1]) if taken and taken[0].ndim == 2 else ())]


def orders(trace, count):
    """Every image on torch's way with so many elements may be what is flattened."""
    return [Fold(-1, shape) for shape in trace.shapes if prod(shape) == count]


def either_order(have, want):
    """Images may be returned with channels last or, by a port that says so, first."""
    return min(distance(have, x) for x in ([want, np.moveaxis(want, 1, -1)] if want.ndim == 4 else [want]))


def refold(fold, x):
    return x if fold is None else fold.apply([x])[0]


def differ(a, b):
    flat = lambda calls: [x for call in calls or [] for x in call]
    return len(flat(a)) != len(flat(b)) or any(not np.array_equal(x, y) for x, y in zip(flat(a), flat(b), strict=True))
