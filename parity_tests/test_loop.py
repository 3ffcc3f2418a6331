"""The loop of the tool: what is due and when, stopping, going on, held-out numbers, and the parts from Python."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from PIL import Image

import jaxgen
from jaxgen import checkpoint, core, data, evaluation, feed, find, initial, parallel, settings, training, weights
from jaxgen.errors import Diverged, UserError
from jaxgen.run import Run
from jaxgen.setup import Setup

TINY = dict(data="digits", hidden=(16,), size=12, batch=8, parallel="jit", log_every=2)
WORDS = "train vae --data digits --hidden 16 --size 12 --batch 8 --parallel jit --log-every 5 --name".split()


pytestmark = pytest.mark.usefixtures("as_a_user")


def setup(name="vae", **given):
    return Setup(name, settings.resolve(find.family(name), training.options, given))


def setup_with(optimizers, **given):
    return Setup("vae", settings.resolve(find.family("vae"), training.options, {**TINY, **given}), optimizers)


def leaves(run):
    return jax.tree.leaves(jax.device_get(jaxgen.load(run).state))


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def lines(run, key):
    return {line["step"]: line[key] for line in Run(run).lines if key in line}


# ---- stopping and going on


def command(*words):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(
        [sys.executable, "-m", "jaxgen", *map(str, words)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def until(condition, process):
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    "number, code",
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow), (signal.SIGKILL, -9)],
)
def test_a_run_that_is_stopped_or_killed_ends_as_if_it_were_not(number, code):
    """Ctrl-C and the system's wish save first, a kill does not; the same command gives the same bits in the end."""
    steps = ["--steps", 40_000, "--save-every", 100, "--eval-every", 100]
    process = command(*WORDS, "stopped", *steps)
    until(lambda: len(lines("stopped", "loss") if Path("stopped/log.jsonl").is_file() else ()) > 40, process)
    process.send_signal(number)
    told = process.communicate(timeout=60)
    assert process.returncode == code, told
    at = checkpoint.latest("stopped/checkpoints")
    if number != signal.SIGKILL:
        assert f"stopped at step {at}, saved. The same command goes on." in told[1] and at > 200
        assert Path("stopped/vae.safetensors").is_file() and Path("stopped/curves.png").is_file()
    end = at + 100
    options = {**TINY, "log_every": 5, "save_every": 100, "eval_every": 100}
    for name in ("stopped", "whole"):
        training.train("vae", steps=end, name=name, **options)
    assert same(leaves("stopped"), leaves("whole"))
    assert lines("stopped", "loss") == lines("whole", "loss")
    assert lines("stopped", "test_loss") == lines("whole", "test_loss")


def test_one_program_whatever_is_due(monkeypatch):
    """Calls of 1, 3, 5, ... steps are one compiled program, and how a run is cut into calls changes no bit."""
    runs = []
    make = parallel.jit
    monkeypatch.setattr(parallel, "jit", lambda *args, **kwargs: runs.append(make(*args, **kwargs)) or runs[-1])
    training.train("vae", **{**TINY, "log_every": 5}, steps=23, eval_every=3, grid_every=7, name="cut")
    (call,) = runs
    assert call._cache_size() == 1
    training.train("vae", **{**TINY, "log_every": 23}, steps=23, name="straight")
    assert same(leaves("cut"), leaves("straight"))


def test_the_length_of_a_run_whose_rate_decays_is_for_good():
    training.train("vae", **TINY, steps=4, schedule="cosine", warmup=1, name="run")
    with pytest.raises(UserError, match="decay_ends 4 -> 8. Choose another --name"):
        training.train("vae", **TINY, steps=8, schedule="cosine", warmup=1, name="run")
    with pytest.raises(UserError, match="clip 0.0 -> 1.0"):
        training.train("vae", **TINY, steps=4, schedule="cosine", warmup=1, clip=1.0, name="run")


def test_a_checkpoint_in_time_where_no_number_is_given(monkeypatch):
    monkeypatch.setattr("jaxgen.loop.SAVE", 0.0)
    seen = []
    save = checkpoint.saving
    monkeypatch.setattr(checkpoint, "saving", lambda at, step, *rest: seen.append(step) or save(at, step, *rest))
    training.train("vae", **TINY, steps=6, name="run")
    assert seen[-1] == 6 and len(seen) > 2


# ---- held-out numbers and the best


def test_held_out_numbers_depend_on_the_weights_alone():
    """Not on the seed of the run or its batch; after each epoch, here of 3 steps, and at the end."""
    training.train("vae", **{**TINY, "batch": 500}, steps=7, name="one", ema=0.5, eval_every=None)
    assert list(lines("one", "test_loss")) == [3, 6, 7] == list(lines("one", "test_kl"))
    run, held_out = jaxgen.load("one"), setup(**TINY).test
    for other in (setup(**TINY, seed=5), setup(**{**TINY, "batch": 16})):
        told = evaluation.evaluate(other.family, *run.state.ema.values(), other.test)
        assert told["loss"] == pytest.approx(lines("one", "test_loss")[7], rel=1e-6)
    rows = data.scale(held_out.take(np.arange(len(held_out))), run.family.inputs(len(held_out)))
    draws = run.family.draw(jax.random.fold_in(jax.random.key(evaluation.KEY), 0), rows)
    loss, _ = run.family.loss("vae", *run.state.ema.values(), rows, draws, train=False)
    assert told["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_rows_that_do_not_fill_a_call_count_as_much_as_others(monkeypatch):
    made = setup(**TINY)
    state = made.fresh(made.root)
    whole = evaluation.evaluate(made.family, state.params, state.stats, made.test)
    monkeypatch.setattr(evaluation, "ROWS", 100)
    have = evaluation.evaluate(made.family, state.params, state.stats, made.test)
    parts = [np.arange(100), np.arange(100, 179)]
    told = [
        float(evaluation.losses(made.family, len(rows))(state.params, state.stats, made.test.take(rows), i)["rec"])
        for i, rows in enumerate(parts)
    ]
    assert have["rec"] == pytest.approx((100 * told[0] + 79 * told[1]) / 179, rel=1e-6)
    assert have["rec"] == pytest.approx(whole["rec"], rel=1e-2)  # other draws


def test_the_best_checkpoint_is_kept():
    """Of a run that gets worse in the end the best is not the last; a GAN names no metric that ranks."""
    worse = lambda step, state, told: state.replace(params=jax.tree.map(lambda x: (1 + (step == 4)) * x, state.params))
    training.train("vae", **TINY, steps=6, eval_every=1, name="run", callback=worse)
    told = lines("run", "test_loss")
    best = Run("run").best
    assert told[best.step] == best.rank == min(told.values()) and best.step < 6
    state = jaxgen.load("run", "best").state
    assert int(state.step) == best.step
    raw = jaxgen.sample("run", count=4, weights="best")
    assert raw.shape == (4, 12, 12, 1) and not np.array_equal(raw, jaxgen.sample("run", count=4))
    training.train("vae", **TINY, steps=8, eval_every=1, name="run")  # goes on, and still knows
    assert Run("run").best.rank == min(lines("run", "test_loss").values())
    training.train("mlp_gan", data="digits", hidden=(8,), size=12, batch=8, steps=2, log_every=2, name="gan")
    assert Run("gan").best is None and lines("gan", "test_disc_loss")
    with pytest.raises(UserError, match="has no best checkpoint"):
        jaxgen.load("gan", "best")


def test_what_is_spoilt_overwrites_nothing():
    """A state that a callback spoils is refused at once; a rate that is too high, within an interval of the log."""
    training.train("vae", **TINY, steps=4, save_every=2, eval_every=2, name="run")
    before = leaves("run")

    def spoil(step, state, metrics):
        return state.having(params={"vae": jax.tree.map(lambda x: x * np.nan, state.params["vae"])})

    with pytest.raises(Diverged, match="weights of vae not finite by step 6. What was saved is as it was"):
        training.train("vae", **TINY, steps=10, save_every=2, eval_every=2, name="run", callback=spoil)
    assert same(before, leaves("run"))

    def heat(step, state, metrics):
        return state.having(params={"vae": jax.tree.map(lambda x: x * 1e18, state.params["vae"])})

    with pytest.raises(Diverged, match=r"step 7: .*loss.* not finite; weights of vae not finite by step 8"):
        training.train("vae", **TINY, steps=20, save_every=10, eval_every=20, name="run", callback=heat)
    assert same(before, leaves("run")) and all(np.isfinite(x).all() for x in before)


# ---- from Python


def test_a_callback_sees_stops_and_replaces():
    seen = []

    def look(step, state, metrics):
        seen.append((step, int(state.step), sorted(metrics)))
        return False if step == 6 else state.replace(params=jax.tree.map(lambda x: 0 * x, state.params))

    run = training.train("vae", **TINY, steps=10, name="run", callback=look)
    assert seen == [(2, 2, ["kl", "loss", "rec"]), (4, 4, ["kl", "loss", "rec"]), (6, 6, ["kl", "loss", "rec"])]
    assert checkpoint.latest(run / "checkpoints") == 6


def test_what_a_callback_gave_is_what_is_saved():
    """Killed after a checkpoint, the run ends as the one that was not killed; the best is ranked as it is."""
    bend = lambda step, state, told: state.replace(params=jax.tree.map(lambda x: 0.9 * x, state.params))
    options = dict(**TINY, save_every=4, eval_every=4, callback=bend)
    training.train("vae", **options, steps=8, name="whole")
    shutil.copytree("whole", "killed")
    shutil.rmtree("killed/checkpoints/8")
    training.train("vae", **options, steps=8, name="killed")
    assert same(leaves("whole"), leaves("killed"))
    best, made = jaxgen.load("whole", "best").state, setup(**TINY)
    told = evaluation.evaluate(made.family, *best.ema.values(), made.test)
    assert told["loss"] == pytest.approx(Run("whole").best.rank, rel=1e-6)


def test_a_step_is_saved_once(monkeypatch):
    """Ctrl-C or a callback that stops where a checkpoint was just written, which would be gone for a while."""
    seen = []
    save = checkpoint.saving
    monkeypatch.setattr(checkpoint, "saving", lambda at, step, *rest: seen.append(step) or save(at, step, *rest))
    training.train("vae", **TINY, steps=9, save_every=2, name="run", callback=lambda step, *rest: step < 4)
    assert seen == [2, 4]


def test_a_run_goes_on_by_hand():
    """load gives the state, the pure step and its batches: by hand it ends where the tool ends."""
    training.train("vae", **TINY, steps=4, name="run", ema=0.9)
    family, state, _, step, batch, root = jaxgen.load("run")
    step = jax.jit(step)
    while int(state.step) < 8:
        state, metrics = step(state, batch(int(state.step)), root)
    assert metrics.keys() == {"loss", "rec", "kl"} and family.inputs(2)["image"].shape == (2, 12, 12, 1)
    training.train("vae", **TINY, steps=8, name="run", ema=0.9)
    for have, want in zip(jax.tree.leaves(state), leaves("run"), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-6)


def test_any_optimizer_may_play():
    own = {"vae": optax.chain(optax.scale_by_lion(), optax.scale(-1e-4))}
    training.train("vae", **TINY, steps=4, name="run", optimizers=own)
    with pytest.raises(UserError, match="its optimizers were given in Python"):
        jaxgen.load("run")
    assert jaxgen.sample("run", count=4, weights="best").shape == (4, 12, 12, 1)
    with pytest.raises(UserError, match="made with other optimizers"):
        jaxgen.load("run", optimizers={"vae": optax.adam(1e-3)})
    with pytest.raises(UserError, match="precision: expected one of float32, tf32, bf16, got 'fp16'"):
        training.train("vae", **TINY, precision="fp16", name="odd")
    with pytest.raises(UserError, match="optimizers given in Python -> the family's"):
        training.train("vae", **TINY, steps=6, name="run")
    state = jaxgen.load("run", optimizers=own).state
    assert jax.tree.structure(state.opt["vae"]) == jax.tree.structure(own["vae"].init(state.params))
    with pytest.raises(UserError, match="optimizers: expected one for each of disc, gen"):
        training.train("mlp_gan", data="digits", optimizers={"disc": optax.sgd(1.0)})


# ---- what a step is given


def test_streamed_is_resident():
    """Decoded ahead of time or held on the device: the same bits, with mirrored images too."""
    rng = np.random.default_rng(0)
    for i in range(40):
        Path("own").mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8)).save(f"own/{i:02d}.png")
    for name, stream in (("held", "no"), ("streamed", "yes")):
        training.train("vae", **{**TINY, "data": "own"}, flip=True, stream=stream, steps=9, name=name)
    assert same(leaves("held"), leaves("streamed"))
    for steps in (4, 9):
        training.train("vae", **{**TINY, "data": "own"}, flip=True, stream="yes", steps=steps, name="resumed")
    assert same(leaves("held"), leaves("resumed"))
    training.train("vae", **{**TINY, "data": "own"}, flip=False, steps=9, name="straight")
    assert not same(leaves("held"), leaves("straight"))


def test_images_are_mirrored_by_half():
    images = np.arange(4000.0).reshape(1000, 2, 2, 1)
    made = np.asarray(feed.mirrored(images, jax.random.key(0), 3))
    turned = (made[:, :, 0] != images[:, :, 0]).all((1, 2))
    np.testing.assert_array_equal(made[turned], images[turned][:, :, ::-1])
    np.testing.assert_array_equal(made[~turned], images[~turned])
    assert 400 < turned.sum() < 600
    assert not np.array_equal(made, feed.mirrored(images, jax.random.key(0), 4))


def test_all_devices_are_used_where_there_are_several():
    """And they may be others when a run goes on."""
    assert setup(**{**TINY, "parallel": "auto"}).plan.way == "sharded"
    options = {**TINY, "flip": False}
    for name, first in (("one", "jit"), ("several", "auto")):
        training.train("vae", **{**options, "parallel": first}, steps=4, name=name)
        training.train("vae", **{**options, "parallel": "pmap" if name == "several" else "jit"}, steps=8, name=name)
    for have, want in zip(leaves("several"), leaves("one"), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-5)


def test_weights_to_start_from():
    run = training.train("vae", **TINY, steps=2, name="first")
    file = run / "vae.safetensors"
    training.train("vae", **TINY, steps=2, lr=0.0, init=(str(file),), name="second", ema=0.5)
    have, want = (weights.read(path) for path in (Path("second/vae.ema.safetensors"), file))
    for key in want:
        np.testing.assert_array_equal(have[key], want[key])
    assert len(json.loads(Path("second/config.json").read_text())["init"]["vae"]) == 64
    file.rename("moved.safetensors")  # what a run began with is not needed to go on
    training.train("vae", **TINY, steps=4, lr=0.0, init=(str(file),), name="second", ema=0.5)
    file = Path("moved.safetensors").rename(file)
    lion = {"vae": optax.contrib.schedule_free_adamw(1e-3)}  # an optimiser that keeps a copy of the weights
    state = initial.state(setup_with(lion, init=(str(file),)))
    for x, z in zip(*map(jax.tree.leaves, (state.params["vae"], state.opt["vae"].z["vae"])), strict=True):
        np.testing.assert_array_equal(x, z)
    for spec, message in [
        ("disc=x.pt", "init: unknown net 'disc' in disc=x.pt. There is vae."),
        ("none.safetensors", "none.safetensors: no such file of weights."),
        (f"vae={file}", "decoder.0.weight: expected float32(16, 3), got float32(16, 10)"),
    ]:
        with pytest.raises(UserError) as told:
            training.train("vae", **TINY, steps=2, init=(spec,), latent=3, name="third")
        assert message in str(told.value)
    with pytest.raises(UserError, match="expected NET=FILE, NET being one of disc, gen"):
        training.train("mlp_gan", data="digits", init=(str(file),), name="third")
    assert not Path("third/checkpoints").exists()


@pytest.mark.parametrize("given", [dict(accumulate=2), dict(clip=0.1), dict(precision="bf16"), dict(weight_decay=0.1),
                                   dict(schedule="linear", warmup=2),
                                   pytest.param(dict(precision="tf32"), marks=pytest.mark.slow)], ids=str)  # fmt: skip
def test_options_reach_the_step(given):
    """Each changes what is learned (tf32 is float32 on a CPU)."""
    training.train("vae", **TINY, steps=6, name="plain")
    training.train("vae", **TINY, **given, steps=6, name="with")
    plain, other = ([x for x in leaves(name) if x.ndim == 2] for name in ("plain", "with"))
    changed = not all(np.array_equal(a, b) for a, b in zip(plain, other, strict=False))
    assert changed == (given != dict(precision="tf32"))
    assert all(x.dtype in (np.float32, np.int32) for x in leaves("with"))


def test_tensorboard():
    pytest.importorskip("tensorboardX")
    training.train("vae", **TINY, steps=4, name="run", tensorboard=True)
    (file,) = Path("run/tensorboard").iterdir()
    assert b"test_loss" in file.read_bytes() and b"rec" in file.read_bytes()


# ---- what is shown


def test_a_dry_run_tells_all_and_writes_nothing(capsys):
    run = training.train("dcgan", data="digits", width=2, lr=1e-3, dry_run=True, parallel="jit")
    told = capsys.readouterr().out
    for part in ("25 steps of 1,618 images; 179 held out", "float32 (64, 32, 32, 1) from -1 to 1", "parameters of gen"):
        assert part in told
    row = lambda key: next(line.split() for line in told.splitlines() if line.startswith(f"{key} "))
    assert row("lr") == ["lr", "0.001", "given"] and row("size")[-2:] == ["recipe", "digits"]
    assert row("seed") == ["seed", "0", "default"]
    assert "memory of the compiled steps" in told and not run.exists()


def test_a_bar_on_a_terminal():
    """Steps, rates, losses and the time left, on one line that is drawn anew."""
    output, inside = pty.openpty()
    words = [sys.executable, "-m", "jaxgen", *WORDS, "run", "--steps", "3000", "--eval-every", "2000"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
    process = subprocess.Popen(words, stdout=inside, stderr=inside, env=environment)
    os.close(inside)
    told = b""
    try:
        while part := os.read(output, 65536):
            told += part
    except OSError:  # the other end is closed
        pass
    assert process.wait(60) == 0, told
    text = told.decode()
    assert re.search(r"/3000\S* [\d,]+ steps/s  [\d,]+ images/s  loss [\d.]+  kl [\d.]+", text) and "\x1b[" in text
    assert "held out" in text and "3,000 steps in" in text


def test_a_place_that_cannot_be_written():
    Path("file").write_text("")
    from jaxgen.errors import StorageError

    with pytest.raises(StorageError, match="file/run: cannot be written"):
        training.train("vae", **TINY, steps=2, name="file/run")


def test_the_pure_step_is_what_is_run():
    """The loop adds nothing: a scan of the bare step over the same rows ends in the same weights."""
    training.train("vae", **TINY, steps=7, name="run", ema=0.5)
    made = setup(**TINY, steps=7, ema=0.5)
    source = made.feed(0)
    arrays = jax.device_put(source.arrays)
    one = lambda state, rows, root: made.step(state, source.batch(rows, arrays), root)
    rows = np.stack([made.plan.rows(i) for i in range(7)])
    state, _ = parallel.jit(parallel.many(one))(jax.jit(made.fresh)(made.root), rows, made.root)
    for have, want in zip(leaves("run"), jax.tree.leaves(state), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-6, atol=1e-7)
    assert isinstance(state, core.State)
