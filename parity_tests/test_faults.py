"""A check that never failed proves nothing: each planted fault is caught, at the level where it can first be seen."""

import types

import jax
import jax.numpy as jnp
import optax
import pytest
from cases import BY_NAME

import jaxgen.families.dcgan
import jaxgen.families.mlp_gan
import jaxgen.families.vae
from jaxgen import core, nn, objectives, parity
from jaxgen.core import Player
from jaxgen.nn import norms


def biased_variance(patch):
    right = norms.from_batch

    def wrong(layer, rows):
        before, momentum = layer.running_var[...], layer.momentum
        centred, var = right(layer, rows)
        layer.running_var[...] = before + momentum * (var - before)
        return centred, var

    patch.setattr(norms, "from_batch", wrong)


def playing(patch, change):
    """The players of a DCGAN, changed."""
    family = jaxgen.families.dcgan.Family
    right = family.players.fget
    patch.setattr(family, "players", property(lambda self: change(right(self))))


def swapped_players(patch):
    playing(patch, lambda players: dict(reversed(players.items())))


def wrong_owner(patch):
    """The generator's turn keeps what it did to the discriminator's statistics to itself."""
    playing(patch, lambda players: {**players, "gen": Player(trains=("gen",), moves=("gen",))})


def statistics_counted_twice(patch):
    playing(patch, lambda players: {**players, "disc": Player(trains=("disc",), moves=("disc", "gen"))})


def same_share_every_turn(patch):
    patch.setattr(core, "share", lambda family, tree, turn: jax.tree.map(lambda x: x[:: core.shares(family)], tree))


def reuse_ignored(patch):
    right = core.update

    def wrong(family, txs, state, batch, draws, **options):
        fresh = {name: player._replace(reuse=False) for name, player in family.players.items()}
        other = types.SimpleNamespace(players=fresh, loss=family.loss)
        return right(other, txs, state, batch, draws, **options)

    patch.setattr(core, "update", wrong)


def alternating(patch):
    patch.setattr(core, "is_simultaneous", lambda family: False)


def averaged_with_the_complement(patch):
    right = core.average
    patch.setattr(core, "average", lambda old, new, decay: right(old, new, 1 - decay))


def statistics_not_averaged(patch):
    right = core.average
    patch.setattr(core, "average", lambda old, new, decay: {**right(old, new, decay), "stats": new["stats"]})


def adam(change):
    """optax.adamw with other defaults than torch's."""

    def plant(patch):
        right = optax.adamw
        patch.setattr(optax, "adamw", lambda lr, *betas, **kwargs: change(right, lr, *betas, **kwargs))

    return plant


def rows_last(patch):
    """Images flattened in H, W, C order."""
    patch.setattr(nn, "flatten", lambda x: x.reshape(x.shape[0], -1))


def reduced_over_everything(patch):
    """The reconstruction averaged over pixels where it must be summed."""
    right = nn.binary_cross_entropy_with_logits
    patch.setattr(nn, "binary_cross_entropy_with_logits", lambda *args, **kwargs: right(*args, **kwargs) / 50)


def scaled_wrongly(patch):
    """The standard deviation taken for the variance."""
    wrong = lambda self, mu, logvar, eps: mu + eps * jnp.exp(logvar)
    patch.setattr(jaxgen.families.vae.VAE, "reparameterize", wrong)


def half_forgotten(patch):
    patch.setattr(objectives, "bce_half", objectives.bce)


def one_slope(patch):
    right = nn.LeakyReLU.__init__
    patch.setattr(nn.LeakyReLU, "__init__", lambda self, negative_slope=0.01: right(self, 0.01))


def sample_in_training(patch):
    from jaxgen.functional import Functional

    wrong = lambda self, params, stats, draws: self.apply(params, stats, draws, method="sample", train=True)[0]
    patch.setattr(Functional, "sample", wrong)


def masks_unscaled(patch):
    wrong = lambda self, x: x * self.mask(x.shape, self.p) if self.training else x
    patch.setattr(nn.Dropout, "__call__", wrong)


def wrong_name(patch):
    right = nn.Sequential

    def wrong(*layers):
        chain = right(*layers)
        chain.extra = nn.Linear(1, 1)
        return chain

    patch.setattr(jaxgen.families.mlp_gan.nn, "Sequential", wrong)


def another_default_rate(patch):
    right = jaxgen.families.vae.Family.optimizers

    def optimizers(self, lr: float = 7e-2):
        return right(self, lr)

    patch.setattr(jaxgen.families.vae.Family, "optimizers", optimizers)


def small_player(patch):
    """The generator's gradient halved, and 1e-9 of the discriminator's in size: no other player may lend it a scale."""
    right = jaxgen.families.mlp_gan.Family.gen_loss

    def wrong(self, batch, draws):
        loss, metrics = right(self, batch, draws)
        return 1e-9 * loss, metrics

    patch.setattr(jaxgen.families.mlp_gan.Family, "gen_loss", wrong)


FAULTS = [
    (biased_variance, "dcgan", "statistics"),
    (swapped_players, "dcgan", "metrics"),
    (wrong_owner, "dcgan", "signatures"),
    (wrong_owner, "dcgan", "statistics"),
    (statistics_counted_twice, "dcgan", "statistics"),
    (same_share_every_turn, "critic", "weights"),
    (reuse_ignored, "critic reuse=True", "weights"),
    (alternating, "autoencoder", "weights"),
    (averaged_with_the_complement, "vae", "averages"),
    (statistics_not_averaged, "autoencoder", "averages"),
    (adam(lambda right, lr, *betas, **kw: right(lr, b1=0.8, **kw)), "vae", "weights"),
    (adam(lambda right, lr, *betas, **kw: right(lr, *betas, eps=0.0, eps_root=1e-8, **kw)), "vae", "weights"),
    (adam(lambda right, lr, *betas, **kw: right(1.0001 * lr, *betas, **kw)), "vae", "weights"),
    (rows_last, "mlp_gan", "outputs"),
    (reduced_over_everything, "vae", "losses"),
    (scaled_wrongly, "vae", "outputs"),
    (half_forgotten, "mlp_gan objective=bce_half", "gradients"),
    (one_slope, "mlp_gan", "outputs"),
    (sample_in_training, "autoencoder", "samples"),
    (masks_unscaled, "autoencoder", "outputs"),
    (wrong_name, "mlp_gan", "names"),
    (another_default_rate, "vae", "signatures"),
    (small_player, "mlp_gan", "gradients"),
]


# those that no mutation of `jaxgen verify --mutate` plants in these very families, or that are quick
QUICK = (wrong_owner, same_share_every_turn, reuse_ignored, alternating, small_player, wrong_name)


def param(fault, case, level):
    marks = () if fault in QUICK else pytest.mark.slow
    return pytest.param(fault, case, level, id=f"{fault.__name__}-{case}-{level}", marks=marks)


@pytest.mark.parametrize("fault, case, level", [param(*each) for each in FAULTS])
def test_faults_are_caught(fault, case, level, monkeypatch):
    fault(monkeypatch)
    result = parity.verify(BY_NAME[case], only=(level,))
    assert not result.ok
    caught = [row.level for row in result if not row.ok]
    assert level in caught, f"caught at {caught}"


def test_the_first_faulty_layer_is_named(monkeypatch):
    """In the encoder only one layer is wrong, all after it inherit the error."""
    right = nn.LayerNorm.__init__
    monkeypatch.setattr(nn.LayerNorm, "__init__", lambda self, shape: right(self, shape, eps=1e-6))
    rows = {row.level: row for row in parity.verify(BY_NAME["autoencoder"], only=("outputs",))}
    assert rows["outputs"].where.startswith("auto: critic.2 ")


def test_a_missing_level_is_no_proof():
    assert not parity.Result("nothing").ok


def test_nan_is_never_equal_to_a_number():
    from jaxgen.parity.compare import compare

    assert not compare("x", {"a": jnp.full(3, jnp.nan)}, {"a": jnp.ones(3)}).ok
    assert compare("x", {"a": jnp.full(3, jnp.nan)}, {"a": jnp.full(3, jnp.nan)}).ok
    assert not compare("x", {"a": jnp.ones(3, jnp.float32)}, {"a": jnp.ones(3)}).ok
    assert not compare("x", {"a": jnp.ones(3)}, {"b": jnp.ones(3)}).ok


def test_weights_whose_gradient_is_noise_are_listed(capsys):
    """A bias before BatchNorm: Adam turns its round-off into steps; it is left out by name, and nothing else is."""
    from names import NAMES, twin_file

    from jaxgen.parity import table

    name = next(name for name in NAMES if "autoencoder" in name)
    assert table.verify((name,), twin_file(name), trajectory=0)
    told = capsys.readouterr().out
    assert "left out encoder.0.bias" in told and "all equal in 1 case" in told
    rows = {row.level: row for row in parity.verify(BY_NAME["autoencoder"], only=("weights",))}
    whole = [name for name in rows["weights"].left_out if "(" not in name]
    assert set(whole) <= {"encoder.0.bias", "decoder.0.bias"}
    learned = [key for key, _ in BY_NAME["autoencoder"].build()[1].named_parameters()]
    assert rows["weights"].compared == 3 * (len(learned) - len(whole))
