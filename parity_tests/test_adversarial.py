"""Adversarial games against closed forms: what losses are at their optimum, which eigenvalues a step has, and that a
penalty is about one image."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxgen import core, find, nn, objectives, parity
from jaxgen.core import Input, Player
from jaxgen.errors import UserError
from jaxgen.functional import Functional
from jaxgen.parity import pairs

NAMES = ", ".join(objectives.Name.__args__)
PENALISED = [name for name in objectives.Name.__args__ if objectives.named(name).penalty]


@pytest.mark.parametrize(
    "name, logit, disc, gen",
    [
        ("bce", 0.0, 2 * np.log(2), np.log(2)),
        ("bce_half", 0.0, np.log(2), np.log(2)),
        ("documented", 0.0, 2 * np.log(2), np.log(2)),
        ("saturating", 0.0, 2 * np.log(2), -np.log(2)),
        ("least_squares", 0.5, 0.25, 0.125),  # half of mean((D(x) - 1)^2) + mean(D(G)^2), each a quarter
        ("hinge", 0.0, 2.0, 0.0),
        ("wasserstein_gp", 0.0, 0.0, 0.0),
        ("relativistic", 0.0, np.log(2), np.log(2)),
    ],
)
def test_losses_where_data_and_samples_are_one(name, logit, disc, gen):
    """The best discriminator is then undecided."""
    undecided, objective = jnp.full(5, logit), objectives.named(name)
    np.testing.assert_allclose(objective.disc(undecided, undecided), disc, rtol=1e-14)
    np.testing.assert_allclose(objective.gen(undecided, undecided), gen, rtol=1e-14)


@pytest.mark.parametrize("delta, loss", [(0, 1.3862943611), (1, 1.1634513968), (2, 0.7126327204), (4, 0.1208539736)])
def test_the_best_discriminator_of_two_normals(delta, loss):
    """N(0, 1) against N(delta, 1): the logit is delta^2 / 2 - delta x, the loss 2 ln 2 - 2 JSD, here a mean over
    equally likely quantiles; what these leave of the tails is the tolerance."""
    quantiles = jax.scipy.special.ndtri((np.arange(4_000_000) + 0.5) / 4_000_000)
    best = lambda x: delta**2 / 2 - delta * x
    np.testing.assert_allclose(objectives.bce.disc(best(quantiles), best(quantiles + delta)), loss, rtol=2e-6)


def test_the_penalty_of_a_linear_critic():
    """Its slope is w everywhere, so the penalty is (|w| - 1)^2; the estimate of W_1 is the shift of the data."""
    w = jnp.asarray([[0.6, 0.8]])
    rng = np.random.default_rng(0)
    real, alpha = jnp.asarray(rng.normal(size=(16, 2))), jnp.asarray(rng.uniform(size=16))
    fake = real + 3 * w
    critic = lambda scale: lambda net, x: scale * (x @ w[0])
    told = lambda scale: objectives.discriminator(
        objectives.wasserstein_gp, nn.Identity(), critic(scale), real, fake, alpha
    )[1]
    np.testing.assert_allclose([told(2.0)["penalty"], told(1.0)["penalty"]], [1.0, 0.0], atol=1e-14)
    np.testing.assert_allclose(told(1.0)["disc_fake"] - told(1.0)["disc_real"], 3.0, rtol=1e-14)


class Dirac(nnx.Module):
    """The Dirac-GAN of Mescheder et al. (2018): one number against the datum 0, a discriminator psi x."""

    images = ()
    players = {"disc": Player(trains=("disc",)), "gen": Player(trains=("gen",))}

    def __init__(self, objective, penalty, simultaneous):
        self.disc, self.gen = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.objective, self.penalty, self.simultaneous = objective, penalty, simultaneous

    def inputs(self, batch):
        return {"x": Input((batch, 1))}

    def disc_loss(self, batch, draws):
        fake = jax.lax.stop_gradient(self.gen(jnp.ones_like(batch["x"])))
        given = self.disc, logit, batch["x"], fake, None, self.penalty
        return objectives.discriminator(objectives.named(self.objective), *given)

    def gen_loss(self, batch, draws):
        given = self.disc, logit, batch["x"], self.gen(jnp.ones_like(batch["x"]))
        return objectives.generator(objectives.named(self.objective), *given)


def logit(disc, x):
    return disc(x)[:, 0]


def eigenvalues(objective, order, h, penalty=0.0):
    """Of the real step (`core.update`) by gradient descent, linearised at the equilibrium."""
    family = Functional(Dirac(objective, penalty, order == "simultaneous"))
    txs = {name: optax.sgd(h) for name in family.players}
    batch, draws = {"x": jnp.zeros((4, 1))}, {"masks": {"disc": {}, "gen": {}}}

    def moved(place):
        state = core.init(family, txs, jax.random.key(0))
        put = {name: {"weight": x.reshape(1, 1)} for name, x in zip(("gen", "disc"), place, strict=True)}
        after, _ = core.update(family, txs, state.replace(params=put), batch, draws)
        return jnp.stack([after.params[name]["weight"][0, 0] for name in ("gen", "disc")])

    # by differences: what a loss stops the gradient of still moves the step
    near = jax.jit(jax.vmap(moved))(1e-5 * jnp.concatenate([jnp.eye(2), -jnp.eye(2)]))
    return np.linalg.eigvals((near[:2] - near[2:]).T / 2e-5)


@pytest.mark.parametrize("objective", ["bce", "saturating"])
def test_players_that_play_at_once_leave_the_equilibrium(objective):
    """|eigenvalue| = sqrt(1 + h^2 / 4), whatever the rate."""
    sizes = np.abs(eigenvalues(objective, "simultaneous", 0.1))
    np.testing.assert_allclose(sizes, 1.0012492197, rtol=1e-10)


@pytest.mark.parametrize("objective", ["bce", "saturating"])
def test_players_by_turns_circle_around_it(objective):
    found = eigenvalues(objective, "alternating", 0.1)
    np.testing.assert_allclose(np.abs(found), 1.0, rtol=1e-9)
    assert (np.abs(found.imag) > 0.04).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_r1_leads_back_to_it(gamma):
    """-gamma / 2 +- sqrt(gamma^2 / 4 - 1 / 4), of the flow: (eigenvalue - 1) / h of players at once, for every h. The
    term on the data's slope is gamma psi^2 / 2; at a fake image of 0 that of r2 is the same."""
    want = np.roots([1, gamma, 0.25])
    for objective in ("r1", "r2"):
        have = (eigenvalues(objective, "simultaneous", 1e-3, gamma) - 1) / 1e-3
        np.testing.assert_allclose(np.sort_complex(have), np.sort_complex(want), atol=1e-5)  # a double root


def others(name, **arguments):
    """The largest slope of the first image's score along another image, in training."""
    cls = find.family(name)

    class Scored(cls):
        def first(self, x, label):
            net = self.critic if name == "wgan_gp" else self.disc
            if name == "wgan_gp":
                return self.scores(net, x)[0]
            return (self.critic(label)(net, x) if hasattr(self, "critic") else net.logits(x))[0]

    family = Functional(Scored(**{**cls.small, **arguments}))
    start = jax.tree.map(np.asarray, family.init(jax.random.key(0)))
    params, stats = jax.tree.map(jnp.asarray, pairs.randomised(start, np.random.default_rng(0)))
    batch = pairs.at(pairs.batches(family, 1), 0)
    x = nn.flatten(batch["image"]) if name == "mlp_gan" else batch["image"]
    first = lambda x: family.apply(params, stats, x, batch.get("label"), method="first")[0]
    return float(jnp.abs(jax.grad(first)(x)[1:]).max())


@pytest.mark.parametrize(
    "name, arguments",
    [
        pytest.param("wgan_gp", {}, marks=pytest.mark.slow),
        ("projection_gan", {}),
        *(("mlp_gan", {"objective": name}) for name in PENALISED),
    ]
    + [
        pytest.param(family, {"objective": name}, marks=pytest.mark.slow)
        for family in ("dcgan", "cgan")
        for name in PENALISED
    ],
)  # fmt: skip
def test_a_slope_is_that_of_one_image(name, arguments):
    assert others(name, **arguments) == 0


@pytest.mark.parametrize(
    "name, arguments", [pytest.param("wgan_gp", {"critic": "documented"}, marks=pytest.mark.slow), ("dcgan", {})]
)
def test_batch_statistics_mix_images(name, arguments):
    """The check sees it: the printed critic's score of an image depends on the others."""
    assert others(name, **arguments) > 1e-4


def test_slopes_carry_statistics_out():
    """A batch norm inside of the differentiated program moves its statistics as in any call."""

    class Net(nnx.Module):
        def __init__(self):
            self.norm = nn.BatchNorm1d(3)

        def __call__(self, x):
            return nn.slopes(self.norm, lambda norm, x: (norm(x) ** 3).sum(1), x)

    class Plain(Net):
        def __call__(self, x):
            return self.norm(x)

    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 3)))
    start = Functional(Net()).init(jax.random.key(0))
    (_, moved), (_, want) = (Functional(kind()).apply(*start, x) for kind in (Net, Plain))
    jax.tree.map(np.testing.assert_array_equal, moved, want)
    assert moved["norm"]["num_batches_tracked"] == 1


def test_the_norm_of_zero_has_the_gradient_zero():
    x = jnp.asarray([[0.0, 0.0], [3.0, 4.0]])
    value, slope = jax.value_and_grad(lambda x: nn.row_norm(x).sum())(x)
    np.testing.assert_allclose(slope, [[0, 0], [0.6, 0.8]], rtol=1e-15)
    assert value == 5


@pytest.mark.parametrize(
    "name, arguments, message",
    [
        ("dcgan", {"turns": -1}, "turns: expected at least 1, or 0 for the objective's own, got -1."),
        ("wgan_gp", {"turns": 0}, "turns: expected at least 1, got 0."),
        ("mlp_gan", {"penalty": -1.0}, "penalty: expected a weight of at least 0, got -1.0."),
        ("cgan", {"penalty": np.nan}, "penalty: expected a weight of at least 0, got nan."),
        ("mlp_gan", {"order": "simultanous"}, "order: expected one of alternating, simultaneous, got 'simultanous'."),
        *(
            ("dcgan", {"objective": name, "turns": 2}, f"objective: expected one of {NAMES}, got {name!r}.")
            for name in ("hing", "draw")  # nothing, and what is none
        ),
        ("wgan_gp", {"size": 48}, "size: expected one of 64, 32, got 48."),
        ("projection_gan", {"size": 12}, "size: expected 8, 16, 32, 64, ..., got 12."),
    ],
)
def test_what_cannot_be_is_refused(name, arguments, message):
    with pytest.raises(UserError) as error:
        find.family(name)(**arguments)
    assert str(error.value) == message


def test_a_penalised_turn_is_told_layer_by_layer():
    """PyTorch calls a hook without a slope where a penalty's own gradient does not pass."""
    result = parity.verify(next(pairs.cases("wgan_gp")), trajectory=0, only=("outputs",), details=True)
    assert result.ok and {layer["player"] for layer in result.shown["layers"]} == {"critic", "gen"}


def test_the_critic_plays_five_times_by_default():
    family = find.family("dcgan")(size=32, width=2, objective="wasserstein_gp")
    assert family.players["disc"].times == 5 and core.shares(Functional(family)) == 5
    assert find.family("dcgan")(size=32, width=2, objective="wasserstein_gp", turns=2).players["disc"].times == 2


def test_the_saturating_generator_moves_however_sure_the_discriminator_is():
    """Its gradient is as small as D(G(z)), which Adam's usual eps would hide: no digits were drawn until it did not."""
    small = {"w": jnp.full(3, 1e-12)}
    moved = {}
    for objective in ("saturating", "bce"):
        tx = find.family("dcgan")(size=32, width=2, objective=objective).optimizers(lr=1e-3)["gen"]
        moved[objective] = float(-tx.update(small, tx.init(small), small)[0]["w"][0])
    np.testing.assert_allclose(moved["saturating"], 1e-3, rtol=1e-5)
    assert moved["bce"] < 1e-6
