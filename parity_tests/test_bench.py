"""The benchmarks: sides that are compared first, operations that are counted right. Nothing here is about time."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxgen import bench, bench_sampling, bench_sizes, bench_start, core
from jaxgen.bench_machine import products
from jaxgen.bench_profile import kernels
from jaxgen.errors import UserError
from jaxgen.nn import convolutions, sums

ROOT = Path(__file__).parent.parent
TINY = dict(batch=4, rounds=1, seconds=0.01, scan=2)


def test_both_sides_are_timed_and_told(tmp_path, capsys):
    out = tmp_path / "bench.json"
    with jax.enable_x64(False):
        bench.bench(("vae",), **TINY, out=str(out))
    told = json.loads(out.read_text())
    [result] = told["results"]
    assert result["ms"].keys() == {"torch", "jit", "many"} and result["best of torch"] == "torch"
    assert result["work"]["flops"] > 0 and told["about"]["ceilings"]["float32 flop/s"] > 0
    assert "PyTorch's best side over ours" in " ".join(capsys.readouterr().out.split())  # a title wraps


def test_sides_that_do_not_agree_are_not_timed(monkeypatch):
    right = core.step

    def wrong(family, txs, state, batch, key):
        return right(family, txs, state, jax.tree.map(lambda x: 0.9 * x, batch), key)

    monkeypatch.setattr(core, "step", wrong)
    with jax.enable_x64(False), pytest.raises(UserError, match="vae: the sides do not agree before they are timed"):
        bench.bench(("vae",), **TINY)


def test_other_sizes_are_timed(tmp_path, monkeypatch):
    monkeypatch.setitem(bench_sizes.SIZES, "vae", [dict(batch=3, size=8, hidden=(16, 16))])
    out = tmp_path / "sizes.json"
    with jax.enable_x64(False):
        bench_sizes.sizes(("vae",), rounds=1, seconds=0.01, out=str(out))
    [result] = json.loads(out.read_text())["results"]
    assert result["changed"] == {"batch": 3, "size": 8, "hidden": [16, 16]} and result["ratio"]["many"] > 0


def test_samples_of_any_family_are_timed(tmp_path):
    out = tmp_path / "sampling.json"
    with jax.enable_x64(False):
        bench_sampling.sampling("vae", count=4, rounds=1, seconds=0.01, out=str(out))
    [result] = json.loads(out.read_text())["results"]
    assert result["ms"].keys() == {"torch", "jit"} and result["family"] == "vae"


def test_a_script_says_in_one_line_what_it_cannot_do():
    words = [sys.executable, ROOT / "scripts" / "bench.py", "--families", "vaee"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == UserError.code and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("bench.py: families: expected some of dcgan, ")


@pytest.mark.slow
def test_starts_are_timed_without_programs_and_with_them(tmp_path):
    [result] = bench_start.start(("vae",), rounds=1, out=str(tmp_path / "start.json"))
    assert json.loads((tmp_path / "start.json").read_text())["results"] == [result]
    for side in ("cold", "warm"):
        assert 0 < result[side]["first step"] < result[side]["end"]


@pytest.mark.parametrize("call, told", [
    (lambda: bench.bench(("dcgan", "vaee")), "families: expected some of dcgan, dcgan_32, .*, got 'vaee'"),
        (lambda: bench.bench(("dcgan", "vae"), width=3), "vae: has no width to change"),
        (lambda: bench.bench(("dcgan",), size=48), "size: expected one of 64, 32, got 48"),
    (lambda: bench_sampling.sampling("vae", sampler="ddim"), "vae: has no sampler. Leave it out"),
    (lambda: bench_sampling.sampling(net="vit"), "net: expected one of documented, unet, dit, got 'vit'"),
    (lambda: bench_sizes.sizes(("vae", "flow")), "families: expected some of dcgan, .*, got flow"),
    (lambda: bench_start.start(rounds=0), "rounds: expected 1 or more, got 0"),
    (lambda: bench_start.start(("vaee",)), "vaee by digits: no first step was made: .* Did you mean vae"),
])  # fmt: skip
def test_what_cannot_be_timed_is_one_line(call, told):
    with pytest.raises(UserError, match=told):
        call()


def test_kernels_of_a_program_are_found():
    x = jnp.ones((64, 64))
    product = jax.jit(lambda x: x @ x)
    product(x)
    found = kernels(lambda: product(x))
    assert sum(found.values()) > 0 and list(found.values()) == sorted(found.values(), reverse=True)


def test_operations_are_those_of_products_and_convolutions_whatever_their_form():
    """Counted by hand; the zeros between the values of a transposed convolution are none, turns of a scan are all."""
    x, w, how = jnp.ones((2, 8, 8, 3)), jnp.ones((5, 3, 4, 4)), convolutions.How((2, 2), (1, 1))
    g = convolutions.conv(x, w, how)
    once = 2 * g.size * 3 * 4 * 4
    counted = lambda fn, *args: products(jax.make_jaxpr(fn)(*args).jaxpr)
    squared = lambda x: jax.lax.scan(lambda carry, _: (carry @ carry, 0), x, None, length=7)
    forms = {
        "conv": lambda: counted(lambda x, w: convolutions.conv(x, w, how), x, w),
        "input": lambda: counted(lambda g, w: convolutions.conv_input(g, w, how, (8, 8)), g, w),
        "scan": lambda: counted(squared, jnp.ones((6, 6))),
    }
    by_hand = {name: count() for name, count in forms.items()}
    assert by_hand == {"conv": once, "input": once, "scan": 7 * 2 * 6**3}
    jax.clear_caches()
    with sums.forms_of("gpu"):
        assert {name: count() for name, count in forms.items()} == by_hand
    jax.clear_caches()


def test_nets_of_another_width():
    family, *_ = bench.prepared("dcgan", 2, 1, width=3)
    params = jax.eval_shape(lambda: family.init(jax.random.key(0))[0])
    assert {x.shape[0] for x in jax.tree.leaves(params["disc"])} >= {3, 6, 12}
