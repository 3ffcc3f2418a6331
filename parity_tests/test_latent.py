"""Codes of images: `jaxgen latent RUN ACTION` and the same from Python. In float32, as a user runs it."""

import contextlib
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tool import command

import jaxgen
from jaxgen import data, find, latent, weights
from jaxgen.errors import Diverged, UserError
from jaxgen.latent import bounds, maps, opening, sheet, walks
from jaxgen.latent.command import ACTIONS
from jaxgen.setup import build

pytestmark = pytest.mark.usefixtures("as_a_user")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run on the digits, whose codes say something."""
    folder = tmp_path_factory.mktemp("latent") / "run"
    with jax.enable_x64(False):
        words = dict(steps=100, log_every=100, hidden=(32,), latent=4, parallel="jit")
        return jaxgen.train("vae", data="digits", name=str(folder), **words)


def width(path):
    with Image.open(path) as picture:
        return picture.width


def test_encode(run, capsys):
    codes = latent.encode(run)
    assert {key: x.shape for key, x in codes.items()} == {"mean": (179, 4), "logvar": (179, 4), "label": (179,)}
    assert capsys.readouterr().out == ""
    assert command("latent", run, "encode") == 0
    assert "encode.npz: mean, logvar, label of 179 images of digits, held out" in capsys.readouterr().out
    written = np.load(run / "latent/encode.npz")
    for key, x in codes.items():
        np.testing.assert_array_equal(written[key], x)
    few = latent.encode(run, count=7, out="few.npz")
    for key, x in few.items():
        np.testing.assert_array_equal(x, codes[key][:7])  # to the last bit, however many are asked for
    assert len(latent.encode(run, split="train")["mean"]) == 1618
    assert not np.array_equal(latent.encode(run, weights="raw")["mean"], codes["mean"])
    np.testing.assert_array_equal(latent.encode(run / "vae.ema.safetensors", data="digits")["mean"], codes["mean"])
    assert jaxgen.latent is latent


def test_data_of_ones_own(run):
    """In the form of the run's, or brought to it when that is asked for."""
    rng = np.random.default_rng(0)
    np.savez("own.npz", image=rng.integers(0, 256, (20, 24, 24), np.uint8))
    np.savez("wide.npz", image=rng.integers(0, 256, (20, 30, 40, 3), np.uint8), label=np.arange(20) % 3)
    assert latent.encode(run, data="own.npz", split="train").keys() == {"mean", "logvar"}
    found = latent.encode(run, data="wide.npz", split="train", resize="crop", convert=True)
    assert found["mean"].shape == (18, 4) and found["label"].max() == 2
    with pytest.raises(UserError, match="expected gray .*got colour .*Add --convert"):
        latent.encode(run, data="wide.npz")


def test_decode(run, capsys):
    codes = latent.encode(run)
    made = latent.decode(run, codes["mean"])
    assert made.dtype == np.uint8 and made.shape == (179, 24, 24, 1)
    np.testing.assert_array_equal(latent.decode(run, codes["mean"][100:103]), made[100:103])
    np.savez("z.npz", z=codes["mean"][:9].astype(np.float64))
    for out in ("some.npz", "some.png", "some"):
        assert command("latent", run, "decode", "--codes", "z.npz", "--out", out) == 0
    np.testing.assert_array_equal(np.load("some.npz")["image"], made[:9])
    assert len(os.listdir("some")) == 9 and "some: 9 images" in capsys.readouterr().out
    assert latent.decode(run, "z.npz", out="same.npz") == Path("same.npz")
    assert Path("same.npz").read_bytes() == Path("some.npz").read_bytes()
    latent.encode(run, out="codes.npz", count=30)
    assert command("latent", run, "decode", "--codes", "codes.npz") == 0 and width(run / "latent/decode.png") > 300
    family, params, stats = (opened := opening.model(run)).family, opened.params, opened.stats
    draws = family.draw_sample(jax.random.key(3), 5)
    np.testing.assert_array_equal(latent.decode(run, np.asarray(draws["eps"])), jaxgen.sample(run, 5, 3))
    assert params.keys() == {"vae"} and not stats.get("vae")


def test_reconstruct(run, capsys):
    found = latent.reconstruct(run, count=20)
    assert found["frames"].shape == (20, 2, 24, 24, 1) and found["error"].shape == (20,)
    pixels = found["frames"].astype(float) / 255
    np.testing.assert_allclose(np.square(pixels[:, 0] - pixels[:, 1]).mean((1, 2, 3)), found["error"], atol=1e-3)
    np.testing.assert_array_equal(latent.reconstruct(run, count=3)["frames"], found["frames"][:3])
    assert not np.array_equal(latent.reconstruct(run, count=3, seed=1)["frames"], found["frames"][:3])
    assert command("latent", run, "reconstruct", "--count", 20) == 0
    told = capsys.readouterr().out
    assert f"mean squared error a pixel {found['error'].mean():.5f}" in told and "20 images of digits, held out" in told
    assert width(run / "latent/reconstruct.png") > 800
    latent.reconstruct(run, count=20, out="pairs.npz")
    np.testing.assert_array_equal(np.load("pairs.npz")["frames"], found["frames"])


def test_interpolate(run, capsys):
    ends = latent.reconstruct(run, count=6)["frames"][:, 1]
    for path in ("linear", "spherical"):
        frames = latent.interpolate(run, count=3, steps=5, path=path)["frames"]
        assert frames.shape == (3, 5, 24, 24, 1)
        assert np.abs(frames[:, [0, -1]].astype(int) - ends.reshape(3, 2, 24, 24, 1)).max() <= 1
    assert command("latent", run, "interpolate", "--path", "spherical") == 0
    assert "8 pairs of images of digits, held out, 10 images from one" in capsys.readouterr().out
    latent.interpolate(run, count=3, steps=5, out="rows")
    with Image.open("rows/000002.png") as row:
        assert row.size == (5 * 24, 24)


def test_ways_between_codes():
    a, b = np.array([[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]]), np.array([[0.0, 3.0], [2.0, 2.0], [1.0, 0.0]])
    np.testing.assert_allclose(walks.linear(a, b, 0.5), (a + b) / 2)
    half = walks.spherical(a, b, 0.5)
    np.testing.assert_allclose(half[0], [3 / np.sqrt(2)] * 2)  # on the circle
    np.testing.assert_allclose(half[1:], (a[1:] + b[1:]) / 2)  # no angle between them
    for t, end in ((0, a), (1, b)):
        np.testing.assert_allclose(walks.spherical(a, b, t), end, atol=1e-12)


def test_traverse(run, capsys):
    found = latent.traverse(run, rows=3, steps=7)
    assert found["frames"].shape == (3, 7, 24, 24, 1) and (np.diff(found["kl"]) <= 0).all()
    codes = latent.encode(run)
    kl = walks.divergence(codes["mean"].astype(float), codes["logvar"].astype(float))
    np.testing.assert_array_equal(found["dimension"], np.argsort(-kl)[:3])
    np.testing.assert_allclose(found["kl"], np.sort(kl)[::-1][:3], rtol=1e-4)
    z = np.repeat(codes["mean"][5][None], 7, 0)
    z[:, found["dimension"][1]] = np.linspace(-3, 3, 7)
    there = latent.traverse(run, rows=3, steps=7, start=5)["frames"]
    np.testing.assert_array_equal(latent.decode(run, z), there[1])
    assert command("latent", run, "traverse", "--start", "mean") == 0
    told = capsys.readouterr().out
    assert "over 179 images: " + ", ".join(f"z{i} {kl[i]:.2f}" for i in np.argsort(-kl)) in told
    assert width(run / "latent/traverse.png") > 900


def test_embed(run, capsys):
    assert command("latent", run, "embed") == 0
    told = capsys.readouterr().out
    assert "embed.png: a map of 179 images of digits, held out; " in told and width(run / "latent/embed.png") > 900
    found = np.load(run / "latent/embed.npz")
    assert found["position"].shape == (179, 2) and found["label"].shape == (179,)
    assert f"{found['variance'][0]:.1%} and {found['variance'][1]:.1%} of the variance" in told
    alone = latent.embed(run, count=30, out="map.npz")
    assert alone["position"].shape == (30, 2) and os.listdir() == ["map.npz"]


def test_principal_axes():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4)) @ np.diag([5.0, 0.1, 2.0, 0.1]) + 7
    found = maps.principal(x)
    np.testing.assert_allclose(found["position"], (x - x.mean(0))[:, [0, 2]], atol=0.5)  # their signs are positive
    np.testing.assert_allclose(found["variance"], [25 / 29, 4 / 29], atol=0.05)
    np.testing.assert_array_equal(maps.principal(x[:, :2])["position"], x[:, :2].astype(np.float32))
    assert maps.principal(x[:1])["position"].shape == (1, 2)


@pytest.mark.parametrize(
    "label, classes", [(None, ()), (np.arange(30), ()), (np.arange(30) % 12, tuple("abcdefghijkl"))]
)
def test_maps_of_other_labels(label, classes):
    position = np.random.default_rng(0).normal(size=(30, 2))
    maps.scatter(position, label, classes, ("x", "y")).savefig("map.png")
    assert width("map.png") > 500


def test_likelihood(run, capsys):
    found = latent.likelihood(run, samples=5, out="rows.npz")
    assert found.rows == 179 and found.estimate < found.elbo and 0 < found.estimate_error < 10
    rows = np.load("rows.npz")
    np.testing.assert_allclose(rows["elbo"].mean(), found.elbo)
    assert command("latent", run, "likelihood", "--samples", 5) == 0
    told = capsys.readouterr().out
    assert "179 images of digits, held out, 5 codes each; pixels from 0 to 1" in told
    assert f"negative ELBO         {found.elbo:9.3f} +- {found.elbo_error:.3f} nats   " in told
    assert f"{found.estimate / 576 / np.log(2):.4f} bits per dimension" in told
    assert found == latent.likelihood(run, samples=5)
    latent.likelihood(run, samples=5, count=30, out="few.npz")
    few = np.load("few.npz")
    np.testing.assert_array_equal(few["row"], rows["row"][:30])
    np.testing.assert_array_equal(few["estimate"], rows["estimate"][:30])
    more = latent.likelihood(run, samples=50)
    assert more.estimate < found.estimate and abs(more.elbo - found.elbo) < 5 * found.elbo_error


def saved(name, scale=0.5, **arguments):
    """A file of weights: uniform ones, or 0."""
    given = find.family(name).small | arguments
    family = build(name, given)
    rng, shapes = np.random.default_rng(0), jax.eval_shape(family.init, jax.random.key(0))
    net = jax.tree.map(lambda x: (scale * rng.uniform(-1, 1, x.shape)).astype(x.dtype), shapes)
    about = {"jaxgen": json.dumps({"family": name, "arguments": given, "step": 0})}
    weights.save(".", *net, metadata=about)
    return family, *net


def own(count=40, size=5, channels=1):
    shape = (count, size, size, channels)
    np.savez("own.npz", image=np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    return dict(data="own.npz", split="train")


def test_the_estimate_is_the_bound_of_all_codes(monkeypatch):
    """Whatever is drawn, in calls of so many rows."""
    family, params, stats = saved("vae", channels=1)
    waves = lambda draw, key, rows, *shape: 2 * jnp.sin(rows[:, None, None] + 5.0 * jnp.arange(21).reshape(shape))
    monkeypatch.setattr(bounds, "drawn", waves)
    found = latent.likelihood("vae.safetensors", samples=7, out="rows.npz", **own(120))
    rows = np.load("rows.npz")["row"]
    image = data.load("own.npz").train["image"][rows].astype(np.float32) / 255
    bound = jax.jit(lambda *given: -family.apply(params, stats, *given, method="bound", train=False)[0])
    eps = waves(None, None, jnp.asarray(rows), 7, 3)
    np.testing.assert_allclose(np.load("rows.npz")["estimate"], bound(image, eps), rtol=1e-5)
    np.testing.assert_allclose(found.elbo, np.mean([bound(image, eps[:, i : i + 1]) for i in range(7)]), rtol=1e-5)


def test_a_decoder_that_sees_nothing():
    """Of 0 and 1 every image is as probable as any other: a bit a pixel, whatever the codes and the thresholds."""
    saved("vae", scale=0, channels=1, binarize="dynamic")
    found = latent.likelihood("vae.safetensors", samples=3, **own())
    np.testing.assert_allclose([found.elbo, found.estimate], 25 * np.log(2), rtol=1e-6)
    assert found.estimate_error < 1e-5 and found.about.endswith("; pixels 0 or 1 by thresholds of seed 0")
    assert str(found).count("1.0000 bits per dimension") == 2


def test_a_loss_that_is_no_likelihood(capsys):
    saved("vae", channels=1, likelihood="documented")
    own()
    assert command("latent", "vae.safetensors", "likelihood", "--data", "own.npz") == 2
    assert "the documented loss is no likelihood" in capsys.readouterr().err


def test_thresholds_are_of_the_seed():
    saved("vae", channels=1, binarize="dynamic")
    one, same, other = (latent.likelihood("vae.safetensors", 2, seed=seed, **own()) for seed in (0, 0, 1))
    assert one == same and one.elbo != other.elbo


def test_codes_that_are_whole_numbers(capsys):
    saved("vqvae")
    given = own(size=8)
    codes = latent.encode("vae.safetensors", **given, out="codes.npz")["codes"]
    assert codes.dtype == np.int32 and codes.shape == (36, 2, 2) and np.load("codes.npz").files == ["codes"]
    made = latent.decode("vae.safetensors", "codes.npz")
    rows = np.argsort(np.random.default_rng(0).permutation(36))
    np.testing.assert_array_equal(made, latent.reconstruct("vae.safetensors", **given)["frames"][rows, 1])
    for name in ("interpolate", "traverse", "embed", "likelihood"):
        assert command("latent", "vae.safetensors", name, "--data", "own.npz") == 2
        expected = f"its codes are whole numbers, of no use for {name}. There are encode, decode and reconstruct."
        assert expected in capsys.readouterr().err
    with pytest.raises(UserError, match="codes: expected codes from 0 to 4, got 0 to 5."):
        latent.decode("vae.safetensors", np.arange(6 * 4).reshape(6, 2, 2) % 6)
    with pytest.raises(UserError, match=r"codes: expected whole numbers \(N, 2, 2\), got float64 \(6, 2, 2\)."):
        latent.decode("vae.safetensors", np.zeros((6, 2, 2)))


def test_weights_that_are_not_finite(capsys):
    saved("vae", scale=np.nan, channels=1)
    own()
    assert command("latent", "vae.safetensors", "encode", "--data", "own.npz", "--out", "x.npz") == Diverged.code
    assert "vae.safetensors: the code of row 0 is not finite." in capsys.readouterr().err
    with pytest.raises(Diverged, match="image 0 is not finite"):
        latent.decode("vae.safetensors", np.zeros((2, 3)))
    assert sorted(os.listdir()) == ["own.npz", "vae.safetensors"]


BAD = [
    (["RUN"], "latent RUN: which action? There are encode, decode, reconstruct, interpolate, traverse, embed, likeli"),
    (["RUN", "encod"], "unknown action 'encod'. Did you mean encode?"),
    (["RUN", "draw"], "unknown action 'draw'. There are encode, decode, "),
    (["nowhere", "encode"], "nowhere: not the folder of a run"),
    (["RUN", "encode", "--step", "3"], "unknown option --step."),
    (["RUN", "interpolate", "--step", "3"], "unknown option --step. Did you mean --steps?"),
    (["RUN", "interpolate", "--path", "round"], "invalid choice 'round'"),
    (["RUN", "interpolate", "--steps", "1"], "steps: expected at least 2, got 1."),
    (["RUN", "interpolate", "--count=-3"], "count: expected at least 1, got -3."),
    (["RUN", "interpolate", "--out", "x.jpg"], "x.jpg: expected FILE.png, FILE.npz or a FOLDER"),
    (["RUN", "encode", "--out", "x.png"], "x.png: expected FILE.npz."),
    (["RUN", "encode", "--count", "0"], "count: expected at least 1, got 0."),
    (["RUN", "encode", "--data", "minst"], "unknown data 'minst'. Did you mean mnist?"),
    (["RUN", "encode", "--data", "small.npz"], "expected 24 x 24 pixels, got 8 x 8. Add --resize crop (or stretch)"),
    (["RUN", "encode", "--data", "few.npz"], "few: its part test has no images. Give --split, or more images."),
    (["RUN", "encode", "--weights", "beste"], "invalid choice 'beste'"),
    (["RUN", "reconstruct", "--seed=-1"], "seed: expected at least 0, got -1."),
    (["RUN", "traverse", "--start", "179"], "start: expected a row from 0 to 178, or mean; got 179."),
    (["RUN", "traverse", "--rows", "0"], "rows: expected at least 1, got 0."),
    (["RUN", "embed", "--out", "x.svg"], "x.svg: expected FILE.png or FILE.npz."),
    (["RUN", "likelihood", "--samples", "0"], "samples: expected at least 1, got 0."),
    (["RUN", "decode"], "Missing from jaxgen latent RUN decode: --codes STR FILE.npz with"),
    (["RUN", "decode", "--codes", "none.npz"], "none.npz: no such file."),
    (["RUN", "decode", "--codes", "text.npz"], "text.npz: not a readable npz file"),
    (["RUN", "decode", "--codes", "small.npz"], "small.npz: expected an array z or mean, got image."),
    (["RUN", "decode", "--codes", "five.npz"], "five.npz: z: expected numbers (N, 4), got float64 (3, 5)."),
    (["RUN", "decode", "--codes", "nan.npz"], "nan.npz: z: it has 1 values that are not finite, the first at [1, 2]."),
    (["vae.safetensors", "encode"], "vae.safetensors: a file of weights does not say its data. Give --data."),
    (["gen.safetensors", "decode", "--codes", "five.npz"],
     "gen.safetensors: an image has no code in dcgan. Families with codes: "),
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What is wrong in some way."""
    with contextlib.chdir(tmp_path_factory.mktemp("files")), jax.enable_x64(False):
        np.savez("small.npz", image=np.zeros((30, 8, 8), np.uint8))
        np.savez("few.npz", image=np.zeros((3, 24, 24), np.uint8))
        np.savez("five.npz", z=np.zeros((3, 5)))
        np.savez("nan.npz", z=np.array([[0, 0, 0, 0], [0, 0, np.nan, 0]]))
        Path("text.npz").write_text("no archive")
        saved("vae")
        saved("dcgan")
        return Path.cwd()


@pytest.mark.parametrize("words, message", BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_line(words, message, run, files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    before = sorted(os.listdir())
    assert command("latent", *(run if word == "RUN" else word for word in words)) == 2
    told = capsys.readouterr().err.replace(str(run), "RUN")
    assert told.startswith("jaxgen: ") and message in told and told.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_help(capsys):
    for words in (["--help"], [], *([name, "--help"] for name in ACTIONS), ["runs/x", "traverse", "--help"]):
        assert command("latent", *words) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "usage: jaxgen latent RUN ACTION [options]" in told and "--start INT|{mean}" in told
    assert command("latent", "traverse", "--help") == 0 and "--samples" not in capsys.readouterr().out
    assert command("latent", "decode", "--family", "vae", "--help") == 0
    assert "widths of the encoder" in capsys.readouterr().out
    for name in ACTIONS:
        assert getattr(latent, name).__doc__


def test_at_most_so_many():
    """What is refused is what would be drawn, not what was asked for: a sheet has 1,024 images."""
    saved("vae", channels=1)
    given = own(80)  # of which 72 are there
    assert latent.reconstruct("vae.safetensors", "a.png", count=2000, **given)["error"].shape == (72,)
    assert latent.interpolate("vae.safetensors", "b.png", count=2000, steps=3, **given)["frames"].shape[:2] == (36, 3)
    assert latent.traverse("vae.safetensors", "c.png", rows=2000, steps=3, **given)["frames"].shape[:2] == (3, 3)


def test_sheets():
    frames = np.full((4, 3, 5, 6, 1), 200, np.uint8)
    plain = np.asarray(sheet.sheet(frames))
    assert plain.ndim == 2 and set(np.unique(plain)) == {sheet.DARK, 200}
    worded = np.asarray(sheet.sheet(frames, left=list("abcd"), top=list("xyz"), group=2))
    assert worded.shape > plain.shape and not np.isin(np.unique(worded), [sheet.DARK, 200]).all()
    assert sheet.sheet(np.zeros((1, 1, 300, 400, 3), np.uint8)).size[0] < 900
    assert sheet.sheet(np.zeros((2, 2, 5, 5, 2), np.uint8)).mode == "L"  # two channels stand side by side
