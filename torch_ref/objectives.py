"""What the two players of a GAN minimise, found by name: losses of the discriminator's logits, (N,) each, and of their
slopes along images. `discriminator` and `generator` are a turn of either player, for any nets.

A family of this game has the nets `gen` and `disc`, and what `settle` gives it."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch.nn import functional as F

from torch_ref.core import Player, parameters

Name = Literal[
    "bce", "bce_half", "documented", "documented_half", "saturating", "least_squares", "hinge", "wasserstein_gp", "r1",
    "r2", "saturating_r1", "relativistic", "relativistic_r1_r2",
]  # fmt: skip
Order = Literal["alternating", "simultaneous"]


class Objective(NamedTuple):
    disc: Callable  # (real logits, fake logits) -> scalar
    gen: Callable  # (fake logits, real logits or None) -> scalar
    penalty: Callable | None = None  # (slopes, real, fake, alpha) -> scalar
    turns: int = 1  # of the discriminator, for one of the generator
    eps: float = 1e-8  # of the generator's Adam
    memory: float = 1.0  # its second beta, at most
    pairs: bool = False  # the generator's loss looks at the real images too
    score: Callable = torch.sigmoid  # what a logit says: how probable it is that an image is real


def named(name):
    return globals()[name]


def settle(family, objective, turns, reuse, order, penalty):
    """The arguments of the game, as attributes of a family."""
    family.objective, family.reuse, family.penalty = objective, reuse, penalty
    family.turns, family.simultaneous = turns or named(objective).turns, order == "simultaneous"


def players(family, moves=()):
    """`moves`: the nets with statistics. The generator's forward is the same in both turns, so its own count once, as
    do those of the discriminator where both play at once."""
    of = lambda name: tuple(net for net in moves if net == name)
    return {
        "disc": Player(trains=("disc",), moves=of("disc"), times=family.turns, reuse=family.reuse),
        "gen": Player(trains=("gen",), moves=of("gen") if family.simultaneous else moves),
    }


def optimizers(family, lr, betas, weight_decay):
    """AdamW of either player."""
    objective, weights = named(family.objective), partial(parameters, family)
    second = {"disc": betas[1], "gen": min(betas[1], objective.memory)}
    eps = {"disc": 1e-8, "gen": objective.eps}
    adamw = lambda name: torch.optim.AdamW(weights(name), lr, (betas[0], second[name]), eps[name], weight_decay)
    return {name: adamw(name) for name in family.players}


def disc_loss(family, critic, real, fake, draws):
    """A turn of a family's discriminator, the fakes held."""
    given = family.disc, critic, real, fake, draws.get("alpha"), family.penalty
    return discriminator(named(family.objective), *given)


def gen_loss(family, critic, real, fake):
    """A turn of its generator."""
    return generator(named(family.objective), family.disc, critic, real, fake)


def discriminator(objective, net, critic, real, fake, alpha=None, weight=10.0):
    """-> loss, metrics of images (N, ...). `critic(net, images)` gives logits."""
    at_real, at_fake = critic(net, real), critic(net, fake)
    loss, told = objective.disc(at_real, at_fake), {}
    if objective.penalty:
        penalty = objective.penalty(lambda x: slopes(net, critic, x), real, fake, alpha)
        loss, told = loss + weight * penalty, {"penalty": penalty}
    scores = {"disc_real": objective.score(at_real).mean(), "disc_fake": objective.score(at_fake).mean()}
    return loss, {"disc_loss": loss, **scores, **told}


def generator(objective, net, critic, real, fake):
    """-> loss, metrics."""
    at_fake = critic(net, fake)
    loss = objective.gen(at_fake, critic(net, real) if objective.pairs else None)
    return loss, {"gen_loss": loss}


def slopes(net, critic, x):
    """The gradient of the logits along images, to be differentiated once more."""
    x = x if x.requires_grad else x.detach().requires_grad_()
    return torch.autograd.grad(critic(net, x).sum(), x, create_graph=True)[0]


def logits_towards(logits, label):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def probability_towards(logits, label):
    """As printed: a Sigmoid, then BCELoss, whose logarithms stop at -100."""
    return F.binary_cross_entropy(torch.sigmoid(logits), torch.full_like(logits, label))


def score_towards(logits, label):
    return F.mse_loss(logits, torch.full_like(logits, label))


def identity(x):
    return x


def non_saturating(towards, weight):
    """Goodfellow et al. (2014), section 3: the generator maximises log D(G(z))."""
    return Objective(
        disc=lambda real, fake: weight * (towards(real, 1.0) + towards(fake, 0.0)),
        gen=lambda fake, real=None: towards(fake, 1.0),
    )


def around_one(slopes, real, fake, alpha):
    """How far the slopes are from 1 (Gulrajani et al., 2017, equation 3): a norm an image, over all of its axes."""
    alpha = alpha.reshape(-1, *(1,) * (real.ndim - 1))
    return ((slopes(alpha * real + (1 - alpha) * fake).flatten(1).norm(2, dim=1) - 1) ** 2).mean()


def at_real(slopes, real, fake, alpha):
    """R1 of Mescheder et al. (2018), equation 9: half of the squared slopes."""
    return 0.5 * squares(slopes(real)).mean()


def at_fake(slopes, real, fake, alpha):
    """R2 of the same."""
    return 0.5 * squares(slopes(fake)).mean()


def squares(x):
    return x.square().flatten(1).sum(1)


bce = non_saturating(logits_towards, 1.0)
bce_half = non_saturating(logits_towards, 0.5)
documented = non_saturating(probability_towards, 1.0)
documented_half = non_saturating(probability_towards, 0.5)
# the minimax game itself (Goodfellow et al., 2014, equation 1): the generator minimises log(1 - D(G(z))); its gradient
# is as small as D(G(z)). Adam takes its size out again, unless its eps is larger, or it remembers larger ones: then a
# generator that loses stands still, and loses more
saturating = bce._replace(gen=lambda fake, real=None: -logits_towards(fake, 0.0), eps=1e-20, memory=0.9)
# Mao et al. (2017), equation 9, what document 003 means: scores of 1 and 0, without a Sigmoid
least_squares = Objective(
    disc=lambda real, fake: 0.5 * (score_towards(real, 1.0) + score_towards(fake, 0.0)),
    gen=lambda fake, real=None: 0.5 * score_towards(fake, 1.0),
    score=identity,
)
# Lim & Ye (2017)
hinge = Objective(
    disc=lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(),
    gen=lambda fake, real=None: -fake.mean(),
    score=identity,
)
# Gulrajani et al. (2017), algorithm 1
wasserstein_gp = Objective(
    disc=lambda real, fake: fake.mean() - real.mean(),
    gen=lambda fake, real=None: -fake.mean(),
    penalty=around_one,
    turns=5,
    score=identity,
)
r1 = bce._replace(penalty=at_real)
r2 = bce._replace(penalty=at_fake)
# the game that Mescheder et al. (2018) study
saturating_r1 = bce._replace(gen=saturating.gen, penalty=at_real)
# Jolicoeur-Martineau (2019): how much more real than its partner an image looks
relativistic = Objective(
    disc=lambda real, fake: -F.logsigmoid(real - fake).mean(),
    gen=lambda fake, real=None: -F.logsigmoid(fake - real).mean(),
    pairs=True,
)
# Huang et al. (2024): the pairs with both penalties
relativistic_r1_r2 = relativistic._replace(penalty=lambda *given: at_real(*given) + at_fake(*given))
