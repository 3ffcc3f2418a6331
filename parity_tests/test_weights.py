"""One file a net, without prefix, both ways, strict and bitwise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from cases import FIRST
from names import HEAVY
from safetensors.torch import load_file, load_model, save_file

from jaxgen import nn, weights
from jaxgen.errors import UserError
from jaxgen.parity import pairs

EACH = [pytest.param(x, marks=pytest.mark.slow) if x.name in HEAVY[1:] else x for x in FIRST.values()]


@pytest.mark.parametrize("case", EACH, ids=str)
@pytest.mark.parametrize("suffix", ["", ".ema"])
def test_files_go_both_ways(case, suffix, tmp_path):
    """Ours -> theirs -> a .pt file -> ours."""
    family, twin = case.build()
    state = pairs.start(family, family.optimizers())
    weights.save(tmp_path, state.params, state.stats, suffix, {"family": "toy"})
    for net, theirs in twin.named_children():
        theirs.load_state_dict(load_file(tmp_path / f"{net}{suffix}.safetensors"), strict=True)
    have = weights.to_state_dict(state.params, state.stats)
    for key, value in twin.state_dict().items():
        assert value.numpy().dtype == have[key].dtype and value.numpy().tobytes() == have[key].tobytes()
    assert weights.metadata(tmp_path / f"{next(iter(state.params))}{suffix}.safetensors") == {"family": "toy"}
    for net, theirs in twin.named_children():
        save_file(theirs.state_dict(), tmp_path / f"{net}.safetensors")
        torch.save(theirs.state_dict(), tmp_path / f"{net}.pt")
        read = weights.read(tmp_path / f"{net}.pt")
        assert all(np.array_equal(read[key], value) for key, value in theirs.state_dict().items())
    params, stats = weights.load(tmp_path, state.params, state.stats)
    jax.tree.map(np.testing.assert_array_equal, (params, stats), (state.params, state.stats))


def test_strided_arrays(tmp_path):
    square = np.arange(6.0).reshape(2, 3)
    arrays = {"turned": square.T, "every other": square[:, ::2], "scalar": np.int64(3), "jax": jnp.asarray(square).T}
    weights.write(tmp_path / "x.safetensors", arrays)
    have = {key: value.numpy() for key, value in load_file(tmp_path / "x.safetensors").items()}
    for key in arrays:
        np.testing.assert_array_equal(have[key], arrays[key], strict=True)


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.word = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.word.weight


def test_a_tied_tensor_is_stored_once(tmp_path):
    """Under one name in our file, which torch ties again; a file with both names loads if they agree."""
    params, aliases = {"word": {"weight": jnp.arange(15.0).reshape(5, 3)}}, {"head.weight": "word.weight"}
    weights.write(tmp_path / "tied.safetensors", weights.to_state_dict(params, {}))
    theirs = Tied().double()
    load_model(theirs, tmp_path / "tied.safetensors", strict=True)
    np.testing.assert_array_equal(theirs.head.weight.detach(), params["word"]["weight"])
    torch.save(theirs.state_dict(), tmp_path / "tied.pt")
    both = weights.read(tmp_path / "tied.pt")
    assert both.keys() == {"word.weight", "head.weight"}
    (loaded, _) = weights.from_state_dict(params, {}, both, aliases)
    np.testing.assert_array_equal(loaded["word"]["weight"], params["word"]["weight"])
    with pytest.raises(UserError, match="one tensor, but their values differ"):
        weights.from_state_dict(params, {}, both | {"head.weight": 2 * both["head.weight"]}, aliases)


def test_the_other_printed_prefix_loads():
    """Document 003 prints `model.N` where document 004 prints `main.N`."""
    from jaxgen.families.mlp_gan import Generator
    from jaxgen.functional import Functional

    net = Functional(Generator(2, 4, (3,)))
    params, stats = net.init(jax.random.key(0))
    have = {key.replace("main.", "model."): x for key, x in weights.to_state_dict(params, stats).items()}
    loaded, _ = weights.from_state_dict(params, stats, have, Generator.aliases)
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_errors_name_the_key():
    params = {"fc": {"weight": jnp.ones((2, 3))}}
    with pytest.raises(UserError, match=r"missing fc.weight \(nearest: fc.weights\); unexpected fc.weights"):
        weights.from_state_dict(params, {}, {"fc.weights": np.ones((2, 3))})
    with pytest.raises(UserError, match="unexpected other. Give"):
        weights.from_state_dict(params, {}, {"fc.weight": np.ones((2, 3)), "other": np.ones(1)})
    with pytest.raises(UserError, match=r"fc.weight: expected float64\(2, 3\), got float64\(3, 2\)"):
        weights.from_state_dict(params, {}, {"fc.weight": np.ones((3, 2))})
    with pytest.raises(UserError, match=r"got float32\(2, 3\)"):
        weights.from_state_dict(params, {}, {"fc.weight": np.ones((2, 3), np.float32)})


class Payload:
    def __reduce__(self):
        return (open, ("ran", "w"))


def test_nothing_but_tensors_is_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Payload()}, "bad.pt")
    with pytest.raises(UserError, match="bad.pt: not a plain state_dict"):
        weights.read("bad.pt")
    assert not (tmp_path / "ran").exists()
    torch.save(torch.ones(3), "tensor.pt")
    with pytest.raises(UserError, match="expected a state_dict"):
        weights.read("tensor.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        weights.read("cut.safetensors")
    with pytest.raises(UserError, match="no such file"):
        weights.read("absent.safetensors")


def test_a_net_that_only_counts_is_saved_too(tmp_path):
    """BatchNorm without a scale has statistics and no parameters."""
    stats = {"norm": {"running_mean": jnp.arange(3.0)}}
    weights.save(tmp_path, {}, stats)
    _, loaded = weights.load(tmp_path, {}, stats)
    np.testing.assert_array_equal(loaded["norm"]["running_mean"], np.arange(3.0))


def test_parameters_and_half_precision_in_a_pt_file(tmp_path):
    torch.save({"w": torch.nn.Parameter(torch.ones(2))}, tmp_path / "parameter.pt")
    np.testing.assert_array_equal(weights.read(tmp_path / "parameter.pt")["w"], np.ones(2))
    torch.save({"w": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "half.pt")
    with pytest.raises(UserError, match="w is bfloat16"):
        weights.read(tmp_path / "half.pt")


def test_dtypes_of_statistics():
    """int32 inside, int64 in the file."""
    from jaxgen.functional import Functional

    net = Functional(nn.BatchNorm1d(2))
    params, stats = net.init(jax.random.key(0))
    assert stats["num_batches_tracked"].dtype == jnp.int32
    assert weights.to_state_dict(params, stats)["num_batches_tracked"].dtype == np.int64
