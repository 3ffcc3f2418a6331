"""Planted faults: every one is seen by the verification, and one that changes nothing is told as survived."""

import inspect
from inspect import signature

import jax
import jax.numpy as jnp
import pytest
import torch

from jaxgen import core, find, nn, parity
from jaxgen.errors import UserError
from jaxgen.nn import losses
from jaxgen.parity import mutations
from jaxgen.parity.mutations import Mutation, Planted, place, score, scoring, specimen
from jaxgen.parity.mutations.planting import Replaced
from jaxgen.parity.mutations.steps import adam

MUTATIONS = {mutation.name: mutation for mutation in mutations.mutations()}
CAUSES = {
    "eps", "momentum", "running variance is biased", "normalised by the unbiased variance",
    "batch statistics in evaluation", "running statistics in training", "bias missing", "scale missing",
    "groups are strided", "normalised over other axes", "affine laid out as NHWC", "tanh approximation",
    "another activation", "negative slope", "gradient at zero", "padding SAME", "kernel flipped", "kernel not flipped",
    "kernel height and width exchanged", "channels exchanged", "weight not transposed", "stride or dilation",
    "output padding on the other side", "flattened as NHWC", "unflattened as NHWC", "align_corners",
    "nearest for bilinear", "antialias", "half-pixel", "maximum of the last tie", "padding counted otherwise",
    "padding with zeros", "dropout not rescaled", "dropout mask inverted", "dropout in evaluation",
    "index shifted by one", "variance in one pass",
}  # fmt: skip


def small(name):
    return next(parity.cases(name))


def test_each_mutation_has_a_name_and_says_where_it_comes_from():
    assert len(MUTATIONS) == len(mutations.mutations())
    assert len(mutations.local()) >= 35 and len(mutations.general()) >= 25
    assert all(mutation.about for mutation in MUTATIONS.values())
    assert {mutation.cause for mutation in mutations.local()} == CAUSES
    assert {mutation.cause for mutation in mutations.general()} == {None}


@pytest.mark.slow
def test_each_mutation_can_be_planted_in_the_specimen():
    subject = scoring.Subject(specimen())
    left = {name for name, mutation in MUTATIONS.items() if not list(scoring.spots(mutation, [subject]))}
    of_others = {name for name in MUTATIONS if name.startswith(("penalties: ", "variational: "))}
    assert left == {"players: by turns", *of_others}  # for families that play at once, have slopes, or codes


def test_the_specimen_holds_every_layer_and_is_no_family_of_the_package():
    layers = {type(layer) for layer in specimen().build()[1].modules()}
    there = {layer.__name__ for layer in layers}
    assert {name for name in nn.__all__ if name[0].isupper()} - there == {"Identity", "ModuleList"}
    assert "specimen" not in find.names()


def test_the_specimen_passes():
    result = parity.verify(specimen(), trajectory=0, only=("outputs", "losses", "gradients", "inputs", "clipping"))
    assert result.ok and len(result) == 7, str(result)


@pytest.mark.slow
def test_the_specimen_passes_at_every_level_and_rung():
    result = parity.verify(specimen(), rungs=("float32", "bf16"))
    assert result.ok and len(result.ladder) == 2, str(result)


def test_one_layer_is_edited_and_the_twin_is_not():
    case, mutation = specimen(), MUTATIONS["batch norm: eps"]
    family, twin = Planted(case, mutation, "encoder.main.6").build()
    assert family.encoder.main[6].eps == 1e-3 and family.critic.head[1].eps == twin.encoder.main[6].eps == 1e-5


def test_a_function_is_replaced_where_it_was_imported_and_put_back():
    right = losses.mse_loss
    with Replaced(losses, "mse_loss", lambda right: None):
        assert losses.mse_loss is nn.mse_loss is None
    assert losses.mse_loss is nn.mse_loss is right


def test_a_kink_is_planted_where_it_is_met():
    """Behind a bias no value is exactly zero, whatever the inputs are."""
    relu, leaky = MUTATIONS["activation: relu at zero"], MUTATIONS["activation: leaky relu at zero"]
    assert place(relu, specimen()) == "critic.stem.1" and place(leaky, specimen()) == "encoder.stem.1"
    assert place(relu, small("vae")) is place(relu, small("dcgan")) is None


EXPECTED = {
    "definitions: another default": "signatures",
    "definitions: key more": "names",
    "definitions: kernel transposed": "names",
    "linear: bias missing": "outputs",
    "objectives: variance for deviation": "outputs",
    "losses: cross entropy summed": "losses",
    "adam: other b1": "optimizer",
    "adam: nesterov": "metrics",
    "averages: complement": "averages",
}


def test_representative_mutations_are_killed_where_they_can_first_be_seen():
    found = {each["mutation"]: each for each in score([small("vae")], [MUTATIONS[name] for name in EXPECTED])}
    assert {name: each["first"] for name, each in found.items()} == EXPECTED
    assert all(each["killed"] and each["case"] == "vae" for each in found.values())
    assert found["linear: bias missing"]["layer"] == "vae.encoder.0"


def test_a_mutation_that_changes_nothing_survives():
    nothing = Mutation(
        "nothing: changed", "for the test", lambda family: Replaced(core, "average", lambda right: right)
    )
    subject = scoring.Subject(small("vae"))
    subject.reached = {(core, "average")}
    told = scoring.judged(nothing, subject, "")
    assert not told["killed"] and told["levels"] == {} and told["first"] is None


def test_a_slip_in_a_mutation_is_no_kill():
    slip = Mutation("slip: of the pen", "a test", lambda family: Replaced(core, "average", lambda right: None))
    with pytest.raises(TypeError, match="not callable"):
        scoring.judged(slip, scoring.Subject(small("vae")), "")


def test_a_case_that_differs_already_is_refused():
    mutation = MUTATIONS["linear: bias missing"]
    faulty = Planted(small("vae"), mutation, "vae.encoder.0")
    with pytest.raises(UserError, match="vae differs without a mutation, first in outputs"):
        list(score([faulty], [mutation]))


def test_mutations_are_not_for_strangers():
    stranger = parity.case(torch.tanh, jnp.tanh, {"x": (4, 3)}, name="tanh")
    with pytest.raises(UserError, match="tanh: mutations are of the layers and steps of jaxgen"):
        list(score([stranger]))


def test_a_mutation_is_for_the_families_that_can_have_it():
    """The VAE has neither batch norms nor a second player, and does not decay its weights."""
    subject = scoring.Subject(small("vae"))
    names = {name for name, mutation in MUTATIONS.items() if list(scoring.spots(mutation, [subject]))}
    kinds = {name.split(":")[0] for name in names}
    assert not kinds & {"batch norm", "players: at once", "rmsprop", "schedule"}
    assert "adam: eps inside the root" in names and "adam: decay of the gradient" not in names


@pytest.mark.parametrize("name", find.names())
def test_a_wrong_adam_is_made_however_a_family_asks_for_it(name):
    """By place or by name; whether the proof sees it is what the marked suite asks."""
    cls = find.family(name)
    family = cls(**cls.small)
    faults = [
        make for make in vars(adam).values() if inspect.isfunction(make) and "family" in signature(make).parameters
    ]
    assert len(faults) >= 10
    for planted in (make(family) for make in faults):
        if planted is not NotImplemented:
            with planted:
                assert family.optimizers(lr=1e-3).keys() == family.players.keys()


def test_nothing_is_left_of_the_quick_mode():
    before = jax.config.values["jax_disable_most_optimizations"], parity.pairs.quick
    with scoring.quickly():
        assert parity.pairs.quick is not before[1]
    assert before == (jax.config.values["jax_disable_most_optimizations"], parity.pairs.quick)


@pytest.mark.slow
@pytest.mark.parametrize("name", find.names())
def test_every_mutation_of_a_family_is_killed(name):
    assert [each["mutation"] for each in score([small(name)]) if not each["killed"]] == []
