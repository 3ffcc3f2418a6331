"""Third-party truth: torch.optim against optax by the same tool, with the right settings and with the wrong ones."""

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from flax import nnx
from torch import nn
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop

from jaxgen import optim, parity

LR, DECAY = 2e-4, 1e-2
STEPS = ("metrics", "weights", "optimizer", "trajectory")  # what a wrong optimiser may change


class Port(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.first, self.last = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(4, 2, rngs=rngs)

    def __call__(self, x):
        return self.last(jnp.tanh(self.first(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


def stepped(make, theirs, ours):
    """A case with torch's `make(weights, LR, **theirs)` and an optax transformation."""
    torch.manual_seed(0)
    made = make if theirs is None else lambda weights: make(weights, LR, **theirs)
    return parity.case(Net(), Port(), {"x": (8, 3)}, optimizers=(made, ours))


def adagrad(eps=1e-10):
    """torch's: optax has its eps inside of the root."""

    def update(grads, sums, params=None):
        sums = jax.tree.map(lambda g, s: s + g**2, grads, sums)
        return jax.tree.map(lambda g, s: -LR * g / (jnp.sqrt(s) + eps), grads, sums), sums

    return optax.GradientTransformation(lambda params: jax.tree.map(jnp.zeros_like, params), update)


def clipped(weights):
    made = SGD(weights, LR)
    made.register_step_pre_hook(lambda *_: torch.nn.utils.clip_grad_norm_(weights, 0.1) and None)
    return made


def halved(weights):
    """The rate is halved after every second step."""
    made = SGD(weights, LR)
    scheduler = torch.optim.lr_scheduler.StepLR(made, 2, 0.5)
    made.register_step_post_hook(lambda *_: scheduler.step())
    return made


def halving(shift):
    return optax.sgd(lambda count: LR * 0.5 ** ((count + shift) // 2))


rms = lambda **how: optax.rmsprop(LR, decay=0.99, eps_in_sqrt=False, **how)
l2 = lambda tx: optax.chain(optax.add_decayed_weights(DECAY), tx)
RIGHT = {
    "Adam": (Adam, {}, optax.adam(LR)),
    "Adam with betas": (Adam, {"betas": (0.5, 0.999)}, optax.adam(LR, b1=0.5)),
    "AdamW": (AdamW, {}, optax.adamw(LR, weight_decay=DECAY)),
    "Adam with L2": (Adam, {"weight_decay": DECAY}, l2(optax.adam(LR))),
    "SGD with momentum": (SGD, {"momentum": 0.9}, optax.sgd(LR, momentum=0.9)),
    "SGD with Nesterov": (SGD, {"momentum": 0.9, "nesterov": True}, optax.sgd(LR, momentum=0.9, nesterov=True)),
    "RMSprop": (RMSprop, {}, rms()),
    "Adagrad": (Adagrad, {}, adagrad()),
    "Adagrad without eps": (Adagrad, {"eps": 0.0}, optax.adagrad(LR, initial_accumulator_value=0.0, eps=0.0)),
    "clipping": (clipped, None, optax.chain(optim.clip_grad_norm(0.1), optax.sgd(LR))),
    "schedule": (halved, None, halving(0)),
}
WRONG = {
    "optax.adamw decays by 1e-4 unless told": (AdamW, {}, optax.adamw(LR)),
    "AdamW is not Adam with L2": (Adam, {"weight_decay": DECAY}, optax.adamw(LR, weight_decay=DECAY)),
    "eps inside of the root": (Adam, {}, optax.adam(LR, eps=0.0, eps_root=1e-8)),
    "another beta": (Adam, {"betas": (0.5, 0.999)}, optax.adam(LR)),
    "Nesterov left out": (SGD, {"momentum": 0.9, "nesterov": True}, optax.sgd(LR, momentum=0.9)),
    "RMSprop's defaults": (RMSprop, {}, optax.rmsprop(LR)),
    "RMSprop's eps": (RMSprop, {}, optax.rmsprop(LR, decay=0.99)),
    "Adagrad begins with 0.1": (Adagrad, {"eps": 0.0}, optax.adagrad(LR, eps=0.0)),
    "clipping without torch's 1e-6": (clipped, None, optax.chain(optax.clip_by_global_norm(0.1), optax.sgd(LR))),
    "schedule one step early": (halved, None, halving(1)),
}


@pytest.mark.parametrize("pair", RIGHT.values(), ids=RIGHT)
def test_the_right_settings_are_equal(pair):
    result = parity.verify(stepped(*pair), trajectory=9, only=STEPS)
    result.assert_ok()
    weights = next(row for row in result if row.level == "weights")
    assert weights.compared == 12 and weights.error < 1e-10


@pytest.mark.parametrize("pair", WRONG.values(), ids=WRONG)
def test_wrong_settings_are_told_apart_by_the_weights(pair):
    result = parity.verify(stepped(*pair), trajectory=0, only=STEPS)
    failed = [row.level for row in result if not row.ok]
    assert "weights" in failed, str(result)


def test_what_the_optimiser_keeps_is_compared():
    """A decay of the squares that nobody can see in the weights of the first step."""
    result = parity.verify(stepped(Adam, {}, optax.adam(LR, b2=0.99)), steps=1, trajectory=0, only=STEPS)
    assert [row.level for row in result if not row.ok] == ["optimizer"]
    assert "nu of" in next(row.where for row in result if not row.ok)


def test_the_diagnosis_names_the_optimiser():
    wrong = stepped(*WRONG["optax.adamw decays by 1e-4 unless told"])
    told = parity.diagnose(wrong, parity.verify(wrong, trajectory=0, only=("outputs", *STEPS)))
    assert told.layer is None and "look at the order of the players and the optimiser" in str(told)
