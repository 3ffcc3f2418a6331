"""How a fault is planted: in one layer of a family, or in place of a function wherever jaxgen uses it."""

import inspect
import sys
from contextlib import ExitStack
from functools import reduce
from unittest.mock import patch

import jax
import numpy as np

from jaxgen import core
from jaxgen.functional import Functional
from jaxgen.parity import pairs, sides


class Seen:
    """A layer some of whose attributes are others."""

    def __init__(self, layer, attributes):
        vars(self).update(attributes, layer=layer)

    def __getattr__(self, name):
        return getattr(self.layer, name)


def calls(layer, call):
    """From now on the layer is called as `call(right, layer, x)`; `right(layer, x, **attributes)` is its true call, to
    which some of its attributes may seem to be others."""
    cls = type(layer)
    true = cls.__call__
    right = lambda layer, x, **attributes: true(Seen(layer, attributes), x)
    layer.__class__ = type(cls.__name__, (cls,), {"__call__": lambda self, x: call(right, self, x)})


def inside(layer, module, name, value):
    """While the layer is called, `module.name` is `value`."""

    def call(right, self, x):
        with patch.object(module, name, value):
            return right(self, x)

    calls(layer, call)


class Replaced:
    """While it lasts, what `make` makes of `owner.name` stands there, and in all modules of jaxgen that imported it."""

    def __init__(self, owner, name, make):
        self.place, self.make, self.patches = (owner, name), make, ExitStack()

    def __enter__(self):
        owner, name = self.place
        right = vars(owner)[name]
        wrong = self.make(right)
        for user in [owner, *users(name, right)]:
            self.patches.enter_context(patch.object(user, name, wrong))

    def __exit__(self, *error):
        self.patches.close()


def says(family, word):
    """Whether it stands in the file of the family: what only its own code can ask for."""
    return word in inspect.getsource(inspect.getmodule(type(family.module)))


def users(name, value):
    modules = [module for key, module in sys.modules.items() if key.split(".")[0] == "jaxgen"]
    return [module for module in modules if vars(module).get(name) is value]


class Planted:
    """A case whose family has the fault in one layer; its twin is as it was."""

    def __init__(self, case, mutation, path):
        self.case, self.mutation, self.path = case, mutation, path

    def __getattr__(self, name):
        return getattr(self.case, name)

    def __str__(self):
        return str(self.case)

    def build(self):
        family, twin = self.case.build()
        self.mutation.plant(at(family.module, self.path))
        return Functional(family.module), twin


def at(module, path):
    return reduce(getattr, path.split("."), module)


def place(mutation, case, met=None):
    """The path of the first layer, in the order of definition, that can have the fault; None if there is none. `met` is
    what `called` tells of the case."""
    family, met = case.build()[0], met or called(case)
    for path, zeros in met.items():
        layer = at(family.module, path)
        if isinstance(layer, mutation.kinds) and (zeros or mutation.cause != "gradient at zero"):
            if mutation.plant(layer) is not NotImplemented:
                return path
    return None


def called(case):
    """{path: whether it is given exact zeros where all inputs are zero} of the layers that a turn calls; what is behind
    a bias is given none."""
    (family, twin), zeros = case.build(), {}
    paths = [path for path, _ in twin.named_modules() if path]
    for path in paths:
        note = lambda _, args, path=path: zeros.update({path: zeros.get(path, False) or bool((args[0] == 0).any())})
        twin.get_submodule(path).register_forward_pre_hook(note)
    for x in twin.parameters():
        x.data.normal_()  # no bias is zero
    batch = pairs.at(pairs.batches(family, 1), 0)
    empty = lambda x: np.full(x.shape, x.dtype == bool, x.dtype)  # a mask drops nothing
    given = jax.tree.map(empty, {"batch": batch, "draws": jax.eval_shape(family.draw, jax.random.key(0), batch)})
    for player in family.players:
        sides.their_turn(twin, family, player, given)
    return {path: zeros[path] for path in paths if path in zeros}


def reached(case, places):
    """Those of the functions at `places` that are called where the family is built, trained and sampled."""
    seen = set()
    noted = lambda place: lambda right: lambda *args, **kwargs: (seen.add(place), right(*args, **kwargs))[1]
    with ExitStack() as spies, jax.enable_x64(True):
        for place in places:
            spies.enter_context(Replaced(*place, noted(place)))
        exercise(case)
    return seen


def exercise(case):
    """One step and one sample, traced and not computed."""
    family, twin = case.build()
    txs, key = family.optimizers(lr=pairs.LR), jax.random.key(0)
    state, batch = pairs.start(family, txs, twin), pairs.at(pairs.batches(family, 1), 0)
    draws = jax.eval_shape(family.draw, key, batch)
    jax.eval_shape(lambda *given: core.update(family, txs, *given), state, batch, draws)
    jax.eval_shape(lambda: family.sample(state.params, state.stats, family.draw_sample(key, 4)))
