"""The tool: train, sample, list, verify, and what it says to bad input. In float32, as a user runs it."""

import contextlib
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from names import TOYS
from PIL import Image
from tool import command

import jaxgen
from jaxgen import checkpoint, cli, data, find, settings, training
from jaxgen.errors import Diverged, UserError
from jaxgen.plan import Plan
from jaxgen.run import Run
from jaxgen.setup import build

SHORT = ["--steps", "6", "--log-every", "2", "--save-every", "4", "--parallel", "jit"]


pytestmark = pytest.mark.usefixtures("as_a_user")


def leaves(run):
    return jax.tree.leaves(jax.device_get(jaxgen.load(run).state))


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_run_has_everything(capsys):
    assert command("train", "vae", "--data", "digits", *SHORT) == 0
    run = Path("runs/vae-digits")
    files = {str(path.relative_to(run)) for path in run.rglob("*") if "checkpoints" not in path.parts}
    assert files >= {
        "config.json", "log.jsonl", "curves.png", "vae.safetensors", "vae.ema.safetensors",
        *(f"samples/step_{step:06d}.png" for step in range(1, 7)),
    }  # fmt: skip
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 6]
    assert lines[2].keys() == {"step", "seconds", "loss", "rec", "kl"} and "test_loss" in lines[3]
    config = json.loads((run / "config.json").read_text())
    assert config["settings"]["recipe"] == "digits" and config["made"].keys() >= {"jax", "flax", "commit", "device"}
    assert "recipe digits" in capsys.readouterr().out
    assert checkpoint.latest(run / "checkpoints") == 6


def steps_of_log(run, key="disc_loss"):
    return [line["step"] for line in Run(run).lines if key in line]


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_bits():
    """Stopped at a checkpoint; killed after lines of the log that no checkpoint has seen; with other calls."""

    def go(name, steps, log_every=2):
        training.train(
            "dcgan", data="digits", size=32, width=2, batch=8, save_every=4, steps=steps, log_every=log_every,
            name=name, parallel="jit",
        )  # fmt: skip

    go("whole", 8)
    shutil.copytree("whole", "killed")
    shutil.rmtree("killed/checkpoints/8")
    go("killed", 8, log_every=4)
    go("stopped", 4)
    go("stopped", 8)
    assert same(leaves("whole"), leaves("stopped")) and same(leaves("whole"), leaves("killed"))
    assert steps_of_log("whole") == steps_of_log("stopped") == [2, 4, 6, 8] and steps_of_log("killed") == [2, 4, 8]
    weights = [Path(name, "gen.safetensors").read_bytes() for name in ("whole", "stopped", "killed")]
    assert weights[0] == weights[1] == weights[2]


def test_another_configuration_is_refused(capsys):
    command("train", "vae", "--data", "digits", *SHORT)
    before = leaves("runs/vae-digits")
    assert command("train", "vae", "--data", "digits", *SHORT, "--lr", "1e-4") == 2
    assert "lr 0.001 -> 0.0001. Choose another --name" in capsys.readouterr().err
    assert same(before, leaves("runs/vae-digits"))
    assert command("train", "vae", "--data", "digits", *SHORT) == 0
    assert "all done (6 made)" in capsys.readouterr().out


@pytest.mark.parametrize("way", ["sharded", "pmap"])
def test_four_devices_give_the_same_run(way):
    for name, parallel in [("one", "jit"), ("four", way)]:
        training.train("vae", data="digits", steps=4, log_every=2, batch=8, hidden=(16,), parallel=parallel, name=name)
    for a, b in zip(leaves("one"), leaves("four"), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_samples(capsys):
    command("train", "vae", "--data", "digits", *SHORT)
    run = "runs/vae-digits"
    assert command("sample", run, "--count", 5, "--batch", 2, "--out", "few.npz") == 0
    assert command("sample", run, "--count", 7, "--batch", 7, "--out", "more.npz") == 0
    few, more = (np.load(file)["image"] for file in ("few.npz", "more.npz"))
    assert few.dtype == np.uint8 and few.shape[0] == 5 and np.abs(few.astype(int) - more[:5]).max() <= 1
    assert command("sample", run, "--seed", 3) == 0
    with Image.open(f"{run}/samples/seed_3.png") as grid:
        assert grid.width > 300
    raw = jaxgen.sample(run, count=5, weights="raw")
    assert not np.array_equal(raw, few)
    assert command("sample", run, "--out", "x.jpg") == 2
    assert command("sample", "nowhere") == 2
    assert "nowhere: not the folder of a run" in capsys.readouterr().err


@pytest.mark.slow
def test_a_family_in_a_file_of_its_own(capsys, tmp_path):
    """Trained, sampled, saved and compared with its twin, without another line anywhere."""
    ours, theirs = (shutil.copy(TOYS / side / "critic.py", tmp_path / f"{side}_own.py") for side in ("ours", "theirs"))
    assert (
        command("train", ours, "--data", "digits", "--steps", 4, "--log-every", 2, "--lr", "2e-4", "--parallel", "jit")
        == 0
    )
    run = Path("runs/ours_own-digits")
    assert (run / "critic.safetensors").is_file() and (run / "gen.ema.safetensors").is_file()
    assert command("sample", run, "--count", 10) == 0
    assert command("verify", ours, "--twin", theirs, "--level", "losses") == 0
    assert "ours_own" in capsys.readouterr().out
    text = Path(theirs).read_text()
    Path(theirs).write_text(text.replace("10 * penalty", "9 * penalty"))
    Path(theirs).rename("faulty.py")
    assert command("verify", ours, "--twin", "faulty.py", "--level", "losses") == 1
    told = capsys.readouterr().out
    assert "FAILED at critic: minimised" in told and "look at what stands behind the last layer" in told
    assert command("verify", ours) == 2
    assert "--twin FILE" in capsys.readouterr().err


def test_a_batch_that_is_reused_counts_once():
    """n_critic with fresh batches sees three times the rows in an epoch."""
    family = str(TOYS / "ours" / "critic.py")
    plans = {}
    for reuse in (False, True):
        options = settings.resolve(
            find.family(family), training.options, {"reuse": reuse, "epochs": 1, "batch": 10, "parallel": "jit"}
        )
        rows = data.Arrays({"image": np.zeros((120, 12, 12, 1), np.uint8), "label": np.zeros(120, np.int32)})
        plans[reuse] = Plan(build(family, options), rows, options)
    assert [plans[reuse].steps for reuse in (False, True)] == [4, 12]
    fresh, again = (plans[reuse].rows(0) for reuse in (False, True))
    assert len(set(fresh)) == 30 and len(set(again)) == 10
    np.testing.assert_array_equal(again[0::3], again[2::3])


def test_from_python_and_with_an_epoch_count():
    run = training.train(
        "mlp_gan", data="digits", epochs=0.2, batch=32, hidden=(8,), log_every=5, name="short", parallel="jit"
    )
    assert steps_of_log(run) == [5, 10]
    with pytest.raises(UserError, match="unknown option 'hiden'. Did you mean hidden"):
        training.train("mlp_gan", hiden=(8,))
    with pytest.raises(UserError, match="unknown recipe 'T3'. There is: T03"):
        training.train("dcgan", recipe="T3")


@pytest.mark.parametrize("name", find.names())
def test_every_recipe_can_be_built(name):
    """Its options are known, what a document prints is kept, and what we chose is told apart."""
    cls = find.family(name)
    assert list(cls.recipes)[-1] == "digits" and not cls.recipes["digits"].printed
    for key, recipe in cls.recipes.items():
        values = settings.resolve(cls, training.options, {"recipe": key})
        assert values.items() >= recipe.printed.items() and not recipe.printed.keys() & recipe.chosen.keys()
        image = build(name, values).inputs(values["batch"])["image"]
        assert image.shape[0] == values["batch"] and values["data"] in ("mnist", "digits", "cifar10")


def test_a_loss_that_is_not_finite_stops_the_run():
    with pytest.raises(Diverged, match="step 2: .* not finite"):
        training.train("vae", data="digits", steps=8, log_every=2, lr=1e30, name="broken", parallel="jit")
    assert not list(Path("broken").glob("*.safetensors"))
    training.train(
        "vae", data="digits", steps=2, log_every=2, name="broken", parallel="jit"
    )  # there was nothing to lose


def test_weights_that_are_not_finite_are_never_saved(monkeypatch):
    """The loss of the first step is fine, the weights it leaves are not."""
    with pytest.raises(Diverged, match="weights of vae not finite by step 1"):
        training.train(
            "vae", data="digits", steps=4, log_every=1, save_every=1, lr=float("inf"), name="broken", parallel="jit"
        )
    assert checkpoint.latest("broken/checkpoints") is None


def test_a_full_disk_loses_nothing(monkeypatch, capsys):
    """The checkpoint comes last, so what stopped before it is done again."""
    from jaxgen import weights

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(weights, "save_file", full)
        assert command("train", "vae", "--data", "digits", *SHORT, "--name", "full") == 4
        assert "jaxgen: full: cannot be written (No space left on device)" in capsys.readouterr().err
    Path("full/log.jsonl").write_text('{"step": 2, "loss": 1.0}\n{"ste')
    assert command("train", "vae", "--data", "digits", *SHORT, "--name", "full") == 0
    assert steps_of_log("full", "loss") == [2, 4, 6] and Path("full/vae.safetensors").is_file()
    Path("full/config.json").write_text('{"fam')
    assert command("sample", "full") == 4 and "config.json: not readable" in capsys.readouterr().err
    assert command("sample", "full", "--out", "/proc/none/x.png") in (2, 4)


def test_a_run_says_what_is_printed_and_what_is_ours():
    run = training.train("mlp_gan", data="digits", recipe="T07", steps=2, log_every=2, name="told", parallel="jit")
    told = json.loads((run / "config.json").read_text())["recipe"]
    assert told["name"] == "T07" and told["printed"]["lr"] == 2e-4 and told["chosen"]["initial"] == "torch"


def test_any_number_of_channels(tmp_path):
    np.savez("two.npz", image=np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8))
    run = training.train(
        "vae", data="two.npz", channels=2, size=8, batch=8, steps=2, log_every=2, name="two", parallel="jit"
    )
    assert jaxgen.sample(run, count=4).shape == (4, 8, 8, 2)


BAD = [
    (["train", "dcgam"], "unknown family 'dcgam'. Did you mean dcgan?"),
    (["tran"], "unknown command 'tran'. Did you mean train?"),
    (["train", "vae", "--data", "minst"], "unknown data 'minst'. Did you mean mnist?"),
    (["train", "vae", "--data", "celeba"], "expected digits, mnist, fashion_mnist, cifar10, a FOLDER of images or a"),
    (["train", "vae", "--data", "none.npz"], "none.npz: no such file."),
    (["train", "vae", "--data", "mnist"], "cannot be fetched (no connection). Put train-images-idx3-ubyte.gz into "),
    (["train", "vae", "--data", "digits", "--batch", "5000"], "batch 5000: a step needs 5000 rows, the data has 1618."),
    (["train", "vae", "--data", "digits", "--batch", "6", "--parallel", "pmap"],
     "divisible by 4 devices. Use 4, or --parallel jit."),
    (["train", "vae", "--data", "digits", "--batch", "12", "--accumulate", "8", "--parallel", "jit"],
     "batch 12 is not divisible by 8 accumulated parts. Use 8."),
    (["train", "dcgan", "--data", "digits", "--batch", "4", "--accumulate", "4", "--parallel", "jit"],
     "batch 4: expected at least 2 rows at a time, got 1: BatchNorm's statistics of a single image are no training."),
    (["train", "vae", "--data", "float.npz"], "expected uint8 0..255 or float 0..1, got float64 0 to 255."),
    (["train", "vae", "--data", "nan.npz"], "nan.npz: "),
    (["train", "vae", "--data", "labels.npz"], "expected 3 whole labels, got int64 (2,)."),
    (["train", "vae", "--data", "colour.npz"], "expected gray (L), got colour (RGB). Add --convert, or choose"),
    (["train", "vae", "--data", "small.npz"], "expected 28 x 28 pixels, got 8 x 8. Add --resize crop (or stretch), or"),
    (["train", "vae", "--data", "keys.npz"], "expected arrays x_train, y_train, x_test, y_test, or image; got ['a']."),
    (["train", "vae", "--data", "text.npz"], "text.npz: not a readable npz file"),
    (["train", "vae", "--data", "empty"], "empty: expected images (.bmp .jpeg .jpg .png .webp), found none."),
    (["train", "vae", "--data", "digits", "--flip"], "digits: a mirrored image is not one of them. Leave out --flip."),
    (["train", "vae", "--recipe", "T99"], "unknown recipe 'T99'."),
    (["train", "own.py"], "own.py: no such file."),
    (["train", "vae", "--data", "half.npz"], "expected arrays x_train, y_train, x_test, y_test, or image"),
    (["train", "vae", "--data", "digits", "--batch", "0"], "batch: expected at least 1, got 0."),
    (["train", "vae", "--data", "digits", "--steps", "0"], "steps: expected at least 1, got 0."),
    (["train", "vae", "--data", "digits", "--epochs", "0"], "epochs: expected more than 0, got 0.0."),
    (["train", "vae", "--data", "digits", "--log-every", "0"], "log_every: expected at least 1, got 0."),
    (["train", "vae", "--data", "digits", "--clip", "nan"], "clip: expected at least 0, got nan."),
    (["train", "vae", "--data", "digits", "--seed=-1"], "seed: expected at least 0, got -1."),
    (["train", "vae", "--data", "digits", "--ema", "1.5"], "ema: expected a decay in [0, 1), got 1.5."),
    (["train", "vae", "--data", "digits", "--schedule", "cosine", "--warmup", "9", "--steps", "9"],
     "schedule cosine: a warm-up of 9 steps leaves none of 9 to decay in."),
    (["train", "dcgan", "--widht", "3"], "unknown option --widht. Did you mean --width?"),
    (["train", "dcgan", "--width", "wide"], "Error parsing --width: invalid literal for int() with base 10: 'wide'."),
    (["train", "dcgan", "--objective", "hing"], "invalid choice 'hing' for argument '--objective'. Expected one of"),
    (["train", "vae", "--lr"], "Missing value for argument '--lr'. Expected 1 values. See jaxgen train vae --help."),
    (["train", "vae", "more"], "Unrecognized options: more. See jaxgen train vae --help."),
    (["data", "minst"], "unknown data 'minst'. Did you mean mnist?"),
    (["verify", "vea"], "unknown family 'vea'. Did you mean vae?"),
]  # fmt: skip


@pytest.mark.parametrize("words, message", BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_line(words, message, capsys, monkeypatch):
    monkeypatch.setenv("JAXGEN_MIRROR", "http://127.0.0.1:9")  # nobody listens
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("cache").absolute()))
    monkeypatch.setenv("JAXGEN_DATA", "")
    nan = np.zeros((3, 8, 8))
    nan[1, 2, 3] = np.nan
    np.savez("nan.npz", image=nan)
    np.savez("float.npz", image=np.full((3, 8, 8), 255.0) * np.arange(3)[:, None, None] / 2)
    np.savez("small.npz", image=np.zeros((30, 8, 8), np.uint8))
    Path("empty").mkdir()
    np.savez("labels.npz", image=np.zeros((3, 8, 8), np.uint8), label=np.zeros(2, int))
    np.savez("colour.npz", image=np.zeros((80, 8, 8, 3), np.uint8))
    np.savez("keys.npz", a=np.zeros(3))
    np.savez("half.npz", x_train=np.zeros((3, 8, 8), np.uint8), y_train=np.zeros(3, int))
    Path("text.npz").write_text("no archive")
    assert command(*words) == 2
    told = capsys.readouterr().err
    told = "".join(line for line in told.splitlines(True) if not line.startswith("fetching"))
    assert told.startswith("jaxgen: ") and message in told and told.count("\n") == 1
    assert not Path("runs").exists()


def test_too_little_memory_is_one_line(monkeypatch, capsys):
    from jaxgen.loop import Loop

    monkeypatch.setattr(Loop, "compile", lambda loop: jax.numpy.zeros(1 << 45).block_until_ready())
    assert command("train", "vae", "--data", "digits", *SHORT) == 2
    told = capsys.readouterr().err
    assert "too little memory (" in told and "--batch" in told and told.count("\n") == 1
    monkeypatch.setenv("JAXGEN_TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="RESOURCE_EXHAUSTED"):
        cli.main(["train", "vae", "--data", "digits", *SHORT, "--name", "again"])


def test_a_traceback_when_asked_for(monkeypatch):
    monkeypatch.setenv("JAXGEN_TRACEBACK", "1")
    with pytest.raises(UserError, match="unknown family"):
        cli.main(["train", "dcgam"])


def test_a_damaged_checkpoint_is_named(capsys):
    command("train", "vae", "--data", "digits", *SHORT)
    for file in Path("runs/vae-digits/checkpoints/6").rglob("*"):
        if file.name == "_METADATA":
            file.write_bytes(b"nothing")
    assert command("train", "vae", "--data", "digits", *SHORT[2:], "--steps", "8") == 4
    told = capsys.readouterr().err
    assert "cannot read step 6" in told and "go on from the checkpoint before it" in told and told.count("\n") == 1


def test_help_of_everything(capsys):
    for words in (
        ["--help"],
        ["train", "dcgan", "--help"],
        ["sample", "--help"],
        ["verify", "--help"],
        ["train"],
        ["list"],
    ):
        assert command(*words) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "rows that a player sees in a turn" in told and "--objective {bce,bce_half" in told
    for name in ("vae", "dcgan", "mlp_gan"):
        assert name in told
    with contextlib.suppress(SystemExit):
        cli.main(["train", "dcgan", "--widht", "3"])
    assert "--width" in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch, capsys):
    """And a run goes on without its curves."""
    import importlib

    right = importlib.import_module

    def absent(name, *args):
        if name.split(".")[0] in ("matplotlib", "torch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.split(".")[0])
        return right(name, *args)

    monkeypatch.setattr(importlib, "import_module", absent)
    assert command("train", "vae", "--data", "digits", *SHORT) == 0
    assert "no curves: this needs matplotlib" in capsys.readouterr().out
    assert command("verify", "vae") == 2
    assert "pip install 'jaxgen[verify]'" in capsys.readouterr().err


@pytest.mark.slow
def test_recognisable_is_not_said_of_initial_weights():
    """A generator that learned nothing fails; the held-out digits themselves pass."""
    from jaxgen import sampling
    from jaxgen.functional import Functional
    from jaxgen.recognise import recognise

    digits = data.load("digits")
    for name in ("vae", "dcgan"):
        family = build(name, settings.resolve(find.family(name), training.options, {"data": "digits"}))
        assert isinstance(family, Functional)
        images = sampling.images(family, *family.init(jax.random.key(0)), count=200, seed=0, batch=100)
        assert not recognise(images, digits).ok
    verdict = recognise(digits.test["image"], digits)
    assert verdict.ok and verdict.accuracy > 0.93 and "recognisable: yes" in str(verdict)
