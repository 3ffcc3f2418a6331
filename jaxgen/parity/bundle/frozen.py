"""A bundle as `Setting` is a case: the JAX side, what it is given, and the truth instead of a twin."""

import inspect
from functools import cached_property, partial

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen import core, find, weights
from jaxgen.errors import UserError
from jaxgen.functional import Functional
from jaxgen.parity import pairs, sides
from jaxgen.parity.bundle import stranger


class Frozen:
    """`shown` collects what a report shows beside the rows; `runs` are the turns of each player, in training and in
    evaluation; `rungs` the errors of PyTorch itself."""

    def __init__(self, bundle, family):
        self.bundle, self.family, self.shown = bundle, family, {}
        self.truth, self.rungs = bundle.arrays["truth"], bundle.told["rungs"]
        self.trees = fitting(bundle, jax.eval_shape(family.init, jax.random.key(0)))
        self.txs = family.optimizers(lr=bundle.told["gates"]["learning rate"])
        if (now := sorted(family.players)) != (then := sorted(self.truth["turns"]["training"])):
            raise UserError(f"{bundle.folder}: frozen with the players {then}, now they are {now}. Freeze it anew.")
        self.runs = {(name, train): sides.our_turn(family, name, train) for name in now for train in (True, False)}

    @property
    def learns(self):
        return bool(self.trees[0])

    @cached_property
    def state(self):
        params, stats = jax.tree.map(jnp.asarray, self.trees)
        opt = {name: self.txs[name].init(core.pick(params, x.trains)) for name, x in self.family.players.items()}
        return core.State(jnp.zeros((), jnp.int32), params, stats, opt, {"params": params, "stats": stats})

    @property
    def state_dict(self):
        return weights.to_state_dict(*self.trees)

    @cached_property
    def update(self):
        """The whole step, compiled."""
        return pairs.updates(self.family, self.txs)

    def step(self, i):
        """-> batch, draws of the step i."""
        told = self.bundle.arrays["given"]["steps"][str(i)]
        want = {name: x.shape for name, x in self.family.inputs(pairs.ROWS * core.shares(self.family)).items()}
        if want and want != (have := {name: x.shape for name, x in told["batch"].items()}):
            raise UserError(f"{self.bundle.folder}: frozen with batches {have}, now they are {want}. Freeze it anew.")
        return told["batch"], self.filled(told.get("draws", {}), self.family.draw, jax.random.key(i), told["batch"])

    def turn(self, i=0):
        """What a player is given in its first turn of the step i."""
        batch, draws = (core.share(self.family, x, 0) for x in self.step(i))
        return {"batch": batch, "draws": draws}

    def noise(self):
        """What the samples are made of."""
        told, count = self.bundle.arrays["given"]["samples"], len(self.truth["samples"]["image"])
        return self.filled(told, partial(pairs.sample_draws, self.family, count=count), jax.random.key(0))

    def filled(self, have, draw, *args):
        """The kept numbers in the structure of what `draw` gives now."""
        tree = jax.eval_shape(draw, *args)
        now, then = ({key: (x.dtype.name, x.shape) for key, x in told.items()} for told in (sides.named(tree), have))
        if odd := next((key for key in now | then if now.get(key) != then.get(key)), None):
            told = f"{odd} was {then.get(odd, 'not there')}, now it is {now.get(odd, 'not there')}"
            raise UserError(f"{self.bundle.folder}: the case draws other numbers than when it was frozen: {told}.")
        return sides.joined(have, tree)


def fitting(bundle, trees):
    """The kept weights as trees like these, NumPy's: not every device has float64."""
    have = bundle.arrays["weights"]
    flat = [flatten_dict(tree, sep=".") for tree in trees]
    want = {key: x for tree in flat for key, x in tree.items()}
    missing, unexpected = sorted(want.keys() - have.keys()), sorted(have.keys() - want.keys())
    told = [*weights.strangers(missing, unexpected)]
    shapes = ((key, have[key].shape, x.shape) for key, x in want.items() if key in have)
    told += [f"{key} was {then}, now it is {now}" for key, then, now in shapes if then != now]
    if told:
        why = f"the weights no longer fit the case: {'; '.join(told[:3])}"
        raise UserError(f"{bundle.folder}: {why}. Undo the change, or freeze the case anew.")
    fill = lambda tree: {key: have[key].astype(x.dtype) for key, x in tree.items()}
    return tuple(unflatten_dict(fill(tree), sep=".") for tree in flat)


def family_of(bundle, case=None):
    """The JAX side: of the case that the bundle names, or of `case`: another place of it, or the port itself."""
    told = bundle.told["case"]
    if told["kind"] == "pair":
        return stranger.family(bundle, case)
    cls = getattr(case, "ours", None) or named(str(case or told["name"]))
    arguments = {key: as_given(value) for key, value in told["arguments"].items()}
    known = inspect.signature(cls.__init__).parameters
    if odd := sorted(arguments.keys() - known.keys()):
        raise UserError(f"{bundle.folder}: {told['name']} no longer takes {odd[0]!r}. Freeze it anew.")
    return Functional(cls(**arguments))


def named(name):
    try:
        return find.family(name)
    except UserError as error:
        raise UserError(f"{error} If the family stands elsewhere now: --family FILE.py.") from error


def as_given(value):
    """JSON knows no tuples."""
    return tuple(map(as_given, value)) if isinstance(value, list) else value
