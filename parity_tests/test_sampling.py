"""Samples: of runs and of files of weights; to arrays, grids, npz files and folders; whatever the batch and the
devices."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from names import EACH, NAMES, TOYS, small
from PIL import Image
from tool import command

import jaxgen
from jaxgen import find, images, parallel, sampling, settings, source, weights
from jaxgen.errors import Diverged, StorageError, UserError

DCGAN = dict(size=32, latent=5, width=3)


pytestmark = pytest.mark.usefixtures("as_a_user")


def save(name="dcgan", folder=".", told=True, seed=0, **changed):
    """Files of initial weights, with or without what we write about them."""
    cls = find.family(name)
    family = small(name)
    arguments = {key: x.default for key, x in settings.signature(cls.__init__).items() if key != "self"} | cls.small
    about = {"jaxgen": json.dumps({"family": name, "arguments": arguments, "step": 0} | changed)}
    weights.save(folder, *initial(family, seed), metadata=about if told else None)
    return family


def initial(family, seed=0):
    """Weights in [0.1, 0.5], so that variances are positive; quicker than to compile what makes the real ones."""
    rng, shapes = np.random.default_rng(seed), jax.eval_shape(family.init, jax.random.key(0))
    sign = lambda x: rng.choice([-1, 1], x.shape) if x.ndim > 1 else 1
    return jax.tree.map(lambda x: (sign(x) * rng.uniform(0.1, 0.5, x.shape)).astype(x.dtype), shapes)


def image(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


@pytest.mark.parametrize("name", EACH)
def test_an_image_does_not_depend_on_the_batch(name):
    """Noise to the last bit, pixels within one level; 3 leaves a last batch that is not full."""
    family = small(name)
    net = initial(family, 1)
    key = jax.random.key(4)
    draw = {rows: jax.jit(partial(family.draw_sample, key, rows)) for rows in (1, 3, 7)}
    whole = draw[7](first=0)
    for rows in (1, 3):
        for first in range(0, 7, rows):
            for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(draw[rows](first=first)), strict=True):
                np.testing.assert_array_equal(a[first : first + rows], b[: len(a[first : first + rows])])
    made = {rows: sampling.images(family, *net, count=7, seed=4, batch=rows).astype(int) for rows in (1, 3, 7)}
    for rows, some in made.items():
        assert some.shape == made[7].shape and np.abs(some - made[7]).max() <= 1, rows
    assert (np.ptp(made[7], axis=0) > 0).any(), "all images are the same"


@pytest.mark.parametrize("name", EACH)
def test_four_devices_make_the_same_images(name):
    family = small(name)
    net = initial(family, 1)
    one, four = (
        np.concatenate([x for x, _ in sampling.stream(family, *net, 10, 4, 6, split=split)]).astype(int)
        for split in (False, True)
    )
    assert one.shape == four.shape and np.abs(one - four).max() <= 1
    made, _ = next(sampling.stream(family, *net, 10, 4, 6, split=True))
    assert len(made) == 8, "the batch is a multiple of the devices"


def test_the_images_lie_on_all_devices():
    family = small("dcgan")
    params, stats = parallel.replicated(initial(family, 1))
    made, fine = sampling.sampler(family, 8, True)(params, stats, jax.random.key(0), 0)
    assert len(made.sharding.device_set) == 4 and made.addressable_shards[0].data.shape[0] == 2 and fine.all()


def test_one_program_for_every_count():
    family = small("vae")
    net = initial(family, 1)
    sampling.sampler.cache_clear()
    for count in (8, 9, 17, 30):
        sampling.images(family, *net, count=count, seed=0, batch=8)
    assert sampling.sampler(family, 8, False, 0, ())._cache_size() == 1


def test_every_place_holds_the_same_images(capsys):
    save("vae")
    made = jaxgen.sample("vae.safetensors", count=23, seed=2, batch=5)
    assert made.dtype == np.uint8 and made.shape == (23, 5, 5, 2)
    assert capsys.readouterr().out == "" and sorted(os.listdir()) == ["vae.safetensors"]
    assert jaxgen.sample("vae.safetensors", 23, 2, 5, out="some.npz") == Path("some.npz")
    assert capsys.readouterr().out.startswith("some.npz: 23 images, ")
    np.testing.assert_array_equal(np.load("some.npz")["image"], made)
    jaxgen.sample("vae.safetensors", 23, 2, 5, out="some")
    assert sorted(os.listdir("some")) == [f"{i:06d}.png" for i in range(23)]
    for i in range(23):  # two channels are neither gray nor colour: side by side
        np.testing.assert_array_equal(image(f"some/{i:06d}.png"), np.concatenate([*made[i].transpose(2, 0, 1)], 1))
    jaxgen.sample("vae.safetensors", 23, 2, 5, out="some.png")
    assert image("some.png").ndim == 2
    assert command("sample", "vae.safetensors", "--seed", 7) == 0 and image("seed_7.png").size
    assert not list(Path().glob("*.part*"))


def test_gray_and_colour_files(tmp_path):
    rng = np.random.default_rng(0)
    for channels in (1, 3):
        made = rng.integers(0, 256, (3, 6, 5, channels), np.uint8)
        images.writer(tmp_path / str(channels), 3)(iter([made[:2], made[2:]]))
        for i in range(3):
            np.testing.assert_array_equal(image(tmp_path / f"{channels}/{i:06d}.png"), made[i].squeeze())


def test_an_npz_file_is_the_same_each_time():
    save("vae")
    for out in ("a.npz", "b.npz"):
        jaxgen.sample("vae.safetensors", count=9, out=out)
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()


@pytest.mark.parametrize("out", ["some.npz", "some.png", "some"])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_nothing_half_written_stays(out, stop):
    """And what was there before is as it was."""

    def stopped():
        yield np.zeros((2, 4, 4, 1), np.uint8)
        raise stop

    if "." in out:
        Path(out).write_text("old")
    with pytest.raises(KeyboardInterrupt if stop is KeyboardInterrupt else StorageError):
        images.writer(Path(out), 5)(stopped())
    assert os.listdir() == ([out] if "." in out else [])
    assert "." not in out or Path(out).read_text() == "old"


def test_a_run(capsys):
    run = jaxgen.train("vae", data="digits", steps=2, log_every=2, hidden=(8,), ema=0.9, name="run")
    made = jaxgen.sample(run, count=5)
    raw = jaxgen.sample(run, count=5, weights="raw")
    assert made.shape == (5, 24, 24, 1) and not np.array_equal(made, raw)
    np.testing.assert_array_equal(made, jaxgen.sample(run / "vae.ema.safetensors", count=5))
    np.testing.assert_array_equal(raw, jaxgen.sample(f"vae={run}/vae.safetensors", count=5))
    assert jaxgen.sample(run, count=5, weights="best").shape == made.shape
    assert command("sample", run, "--count", 5, "--seed", 3) == 0 and image("run/samples/seed_3.png").size
    for words, message in [
        (["--family", "dcgan"], "run: expected weights of dcgan, got vae."),
        (["--family", "vae", "--latent", "3"], "run: made with latent 10, got latent 3. Leave the option out."),
        (["--out", "run"], "run: expected an empty folder, or none. Choose a new one."),
    ]:
        assert command("sample", run, *words) == 2
        assert message in capsys.readouterr().err


def test_a_file_from_elsewhere():
    """A plain state_dict of PyTorch, without a word about it."""
    torch = pytest.importorskip("torch")
    family = save(told=False)
    state = {key: torch.from_numpy(x) for key, x in weights.read("gen.safetensors").items()}
    torch.save(state, "mine.pt")
    words = ["--family", "dcgan", "--size", "32", "--latent", "5", "--width", "3", "--count", "4", "--out", "x.npz"]
    assert command("sample", "mine.pt", *words) == 0
    expected = sampling.images(family, *initial(family), count=4, seed=0, batch=4).astype(int)
    assert np.abs(np.load("x.npz")["image"].astype(int) - expected).max() <= 1
    for given in ("gen.safetensors", "mine.pt", "gen=mine.pt", "disc.safetensors,mine.pt"):
        opened = source.opened(given, "averaged", "dcgan", DCGAN)
        np.testing.assert_array_equal(opened.params["gen"]["main"]["0"]["weight"], state["main.0.weight"])


def test_a_file_of_a_family_of_ones_own():
    """A file of weights is data: it does not say which program is run."""
    own = str(TOYS / "ours" / "critic.py")
    save(own)
    with pytest.raises(UserError, match=f"of the family {own}. Give --family {own} if that file is to be run"):
        jaxgen.sample("gen.safetensors")
    assert jaxgen.sample("gen.safetensors", count=3, family=own).shape == (3, 8, 8, 1)


def test_the_nets_that_a_sample_looks_at():
    looked = {Path(name).stem: source.looked_at(small(name)) for name in NAMES}
    assert looked.items() >= {"vae": {"vae"}, "dcgan": {"gen"}, "autoencoder": {"decoder"}, "critic": {"gen"}}.items()
    assert all(looked.values())


BAD = [
    (["none.safetensors"], "none.safetensors: no such file of weights."),
    (["disc.safetensors"], "the sample of dcgan needs the net gen too: give gen=FILE."),
    (["bare.safetensors"], "bare.safetensors: does not say its family. Give --family NAME, and its arguments"),
    (["bare.safetensors", "--family", "dcgam"], "unknown family 'dcgam'. Did you mean dcgan?"),
    (["gen.safetensors", "--family", "vae"], "gen.safetensors: expected weights of vae, got dcgan."),
    (["gen.safetensors", "--family", "dcgan", "--width", "4"], "made with width 3, got width 4. Leave the option out."),
    (["gne=gen.safetensors"], "gen.safetensors: unknown net 'gne'. There are disc, gen."),
    (["gen.safetensors,gen=gen.safetensors"], "gen.safetensors: the net gen is given twice."),
    (["disc=gen.safetensors"], "gen.safetensors: missing"),
    (["bare.safetensors", "--family", "vae", "--latent", "3"], "bare.safetensors: missing"),
    (["gen.safetensors", "--weights", "best"], "gen.safetensors: a file is neither best nor last."),
    (["odd.safetensors"], "odd.safetensors: its metadata `jaxgen` is not readable."),
    (["gen.safetensors", "--count", "0"], "count and batch: expected at least 1, got 0 and 100."),
    (["gen.safetensors", "--out", "x.jpg"], "x.jpg: expected FILE.png, FILE.npz or a FOLDER"),
    (["gen.safetensors", "--out", "."], ".: expected FILE.png, FILE.npz or a FOLDER"),
    (["gen.safetensors", "--out", "full"], "full: expected an empty folder, or none. Choose a new one."),
    (["gen.safetensors", "--out", "x.png", "--count", "2000"], "x.png: a grid has at most 1,024 images, got 2,000."),
    (["own.safetensors", "--family", "dcgan"], "own.safetensors: fits none of the nets as they are built here."),
]


@pytest.mark.parametrize("words, message", BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_line(words, message, capsys):
    save()
    arrays = weights.read("gen.safetensors")
    weights.write("bare.safetensors", arrays)
    weights.write("own.safetensors", arrays)
    weights.write("odd.safetensors", arrays, {"jaxgen": "[1"})
    Path("full").mkdir()
    Path("full/photo.jpg").touch()
    before = sorted(os.listdir())
    assert command("sample", *words) == 2
    told = capsys.readouterr().err
    assert told.startswith("jaxgen: ") and message in told and told.count("\n") == 1
    assert sorted(os.listdir()) == before and os.listdir("full") == ["photo.jpg"]


def test_an_unknown_option_is_refused(capsys):
    save()
    assert command("sample", "gen.safetensors", "--family", "dcgan", "--widht", 3) == 2
    assert "unknown option --widht. Did you mean --width?" in capsys.readouterr().err
    with pytest.raises(UserError, match="unknown option 'widht'. Did you mean width?"):
        jaxgen.sample("gen.safetensors", widht=3)
    assert command("sample", "--family", "dcgan", "--help") == 0
    assert "channels of the largest maps" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "name, wrong",
    [
        ("dcgan", {"size": 48}),
        ("dcgan", {"objective": "draws"}),
        ("wgan_gp", {"critic": "documentd"}),
        ("vae", {"binarize": "dynamc"}),
    ],
)
def test_a_choice_that_there_is_not(name, wrong):
    """A family is built of a file as it is trained."""
    save(name, told=False)
    (key, value), file = *wrong.items(), "vae.safetensors" if name == "vae" else "gen.safetensors"
    with pytest.raises(UserError, match=f"{key}: expected one of .*, got {value!r}."):
        jaxgen.sample(file, family=name, **find.family(name).small | wrong)
    with pytest.raises(UserError, match="weights: expected one of averaged, raw, best, got 'beste'."):
        jaxgen.sample(file, weights="beste")


def test_a_grid_of_many_classes_is_made_in_parts(monkeypatch):
    """All of its images at once may not fit where training does."""
    made = []
    count = lambda family, params, stats, count, seed, batch: made.append((count, batch)) or np.zeros((count, 8, 8, 1))
    monkeypatch.setattr(sampling, "images", count)
    for rows in (None, 5, 32):
        monkeypatch.setattr(sampling, "class_rows", lambda family, rows=rows: rows)
        given = dict(data="digits", size=8, hidden=(), latent=3, batch=8, steps=2, name=f"run{rows}", parallel="jit")
        jaxgen.train("vae", grid_every=2, log_every=2, **given)
    assert made == [(64, 64), (40, 40), (256, 64)]


def test_images_that_are_not_finite(capsys):
    save("vae")
    arrays = weights.read("vae.safetensors")
    about = weights.metadata("vae.safetensors")
    arrays["decoder.0.weight"] = arrays["decoder.0.weight"] * np.inf
    weights.write("vae.safetensors", arrays, about)
    assert command("sample", "vae.safetensors", "--out", "x.npz") == Diverged.code == 3
    assert "vae.safetensors: image 0 is not finite." in capsys.readouterr().err
    assert os.listdir() == ["vae.safetensors"]


def test_a_place_that_cannot_be_written(capsys):
    save("vae")
    assert command("sample", "vae.safetensors", "--out", "/proc/none/x.npz") == 4
    assert "cannot be written" in capsys.readouterr().err


def test_a_bar_where_a_person_looks_on(monkeypatch, capsys):
    class Terminal:
        isatty = staticmethod(lambda: True)

    monkeypatch.setattr(sys, "stderr", Terminal)
    monkeypatch.setattr(sampling, "MOMENT", -1.0)
    drawn = []
    monkeypatch.setattr("rich.progress.Progress.start", lambda bar: drawn.append(bar.tasks[0].completed))
    assert [len(x) for x in sampling.watched(iter([np.zeros(3), np.zeros(2)]), 5)] == [3, 2] and drawn == [3, 5]


PEAK = """
import pathlib, resource, sys, jax
from jaxgen import find, images, sampling
from jaxgen.setup import build
values = find.family("vae").recipes["digits"].chosen
family = build("vae", values)
made = sampling.stream(family, *jax.jit(family.init)(jax.random.key(0)), int(sys.argv[1]), 0, 100)
images.writer(pathlib.Path(sys.argv[2]), int(sys.argv[1]))(batch for batch, _ in made)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(count, out):
    """Kilobytes of a process of its own."""
    done = subprocess.run([sys.executable, "-c", PEAK, str(count), out], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_memory_does_not_grow():
    """40,000 images are 23 MB: a tenth more than the process itself would be less."""
    few, many = peak(5_000, "few.npz"), peak(40_000, "many.npz")
    assert many <= 1.05 * few, (few, many)
    assert np.load("many.npz")["image"].shape == (40_000, 24, 24, 1)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("suffix", [".npz", ""])
def test_a_hundred_thousand_images(suffix):
    few, many = peak(5_000, "few" + suffix), peak(100_000, "many" + suffix)
    assert many <= 1.1 * few, (few, many)
    assert suffix or len(os.listdir("many")) == 100_000
