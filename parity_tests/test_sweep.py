"""Many runs as one program: each is the run that jaxgen train makes, and none knows of the others."""

import os
import signal
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from tool import command

import jaxgen
from jaxgen import checkpoint, find, initial, settings, training
from jaxgen.errors import Diverged, Stopped, UserError
from jaxgen.run import Run
from jaxgen.setup import Setup
from jaxgen.sweeping import folder as folders
from jaxgen.sweeping import listed, report
from jaxgen.sweeping.loop import Loop, at
from jaxgen.sweeping.program import Runs

TINY = dict(data="digits", size=8, hidden=(), latent=3, batch=8, log_every=2, steps=6, eval_every=4)
WORDS = "--data digits --size 8 --hidden --latent 3 --batch 8 --log-every 2 --steps 6 --eval-every 4".split()


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def leaves(tree):
    return [np.asarray(x) for x in jax.tree.leaves(jax.device_get(tree))]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


# ---- the program


STEPS = 4


@cache
def setup(name="vae", **more):
    given = {**TINY, "steps": STEPS, "log_every": STEPS, "parallel": "jit", **more}
    return Setup(name, settings.resolve(find.family(name), training.options, given))


@cache
def program(devices):
    """Compiled once: it is given the roots and the numbers of the runs."""
    return Runs(setup(), listed.runs(0, 2, {"lr": (1e-3, 2e-3)}), devices).call()


def trained(each, devices=1):
    runs = Runs(setup(), each, devices)
    rest, rows = runs.rest, runs.given(0, STEPS)
    state, _ = program(devices)(runs.placed(runs.state()), rows, (np.int32(0), rest))  # what it gives is what it takes
    return program(devices)(state, rows, (np.int32(STEPS), rest))


def test_no_run_knows_of_the_others():
    """Other seeds, other rates, or a run of infinities beside it: the same bits, and one program."""
    mine = {"seed": 3, "lr": 1e-3}
    state, told = trained([mine] + 3 * [{"seed": 4, "lr": 2e-3}])
    for rate in (5e-2, 1e30, np.inf, np.nan):
        other, heard = trained([mine, *({"seed": seed, "lr": rate} for seed in (8, 0, 3))])
        assert same(at(state, 0), at(other, 0)) and same(at(told, 0), at(heard, 0))
        assert not same(at(state, 1), at(other, 1))
    assert same(at(state, 1), at(state, 2)), "the same run twice"
    assert program(1)._cache_size() == 1, "compiled more than once"


def test_a_run_that_diverges_stays_where_it_was_looked_at():
    """By what it told, or by its weights; and one that had diverged before, although it is finite."""
    runs = Runs(setup(), listed.runs(0, 4, {"lr": (1e-3,)}))
    state, kept = runs.state(), runs.state()
    spoilt = jax.tree.map(lambda x: x.at[2].set(np.nan), state.params)
    state = state.replace(params=spoilt, step=state.step + STEPS)
    kept = kept.replace(step=kept.step.at[3].set(-1))
    plain, before = jax.device_get((state, kept))
    settled = runs.settle()(state, kept, np.array([True, False, True, True]), np.int32(0))
    assert settled.step.tolist() == [STEPS, 0, 0, -1]
    for i in range(4):
        assert same(at(settled, i), at(plain if i == 0 else before, i))


def test_whole_runs_lie_on_each_device():
    """And send each other nothing."""
    each = listed.runs(0, 2, {"lr": (1e-3, 2e-3)})
    state, told = trained(each, devices=4)
    for a, b in zip(leaves((state, told)), leaves(trained(each)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert len(jax.tree.leaves(state)[1].sharding.device_set) == 4
    assert program(4)._cache_size() == 1
    runs = Runs(setup(), each, 4)
    text = program(4).lower(state, runs.given(0, 1), (np.int32(0), runs.rest)).compile().as_text()
    assert not [word for word in ("all-reduce", "all-gather", "all-to-all", "collective-permute") if word in text]


def test_each_run_is_that_of_train():
    """In float64, up to round-off: the products of several runs side by side are summed in another order."""
    more = dict(schedule="cosine", warmup=1, clip=0.5, weight_decay=1e-2, beta_warmup=3)
    runs = Runs(setup(**more), listed.runs(5, 2, {"lr": (1e-3, 4e-3)}))
    state, told = runs.call()(runs.placed(runs.state()), runs.given(0, STEPS), (np.int32(STEPS), runs.rest))
    one = setup(seed=6, lr=4e-3, **more)
    source, rest = one.feed(0), {"root": one.root, "data": one.train.whole()}
    alone, (metrics, _) = one.call(source)(initial.state(one), source(0, STEPS), (np.int32(STEPS), rest))
    for a, b in zip(leaves((at(state, 3), at(told, 3))), leaves((alone, metrics)), strict=True):
        assert a.dtype == b.dtype and (a.dtype == np.float64 or a.dtype.kind == "i")
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("name", ["dcgan", "mlp_gan", "conv_vae"])
def test_no_run_knows_of_the_others_in_other_families(name):
    """Convolutions of several runs are grouped ones, of which a compiler may make one with zeros between."""
    small = find.family(name).small
    one = Setup(name, settings.resolve(find.family(name), training.options, {
        "data": "digits", "batch": 8, "steps": STEPS, "log_every": STEPS, "parallel": "jit", **small,
    }))  # fmt: skip
    call, mine, states = Runs(one, listed.runs(0, 2, {"lr": (1e-3,)})).call(), {"seed": 3, "lr": 1e-3}, []
    for rate in (2e-3, np.inf):
        runs = Runs(one, [mine, {"seed": 4, "lr": rate}])
        states.append(call(runs.placed(runs.state()), runs.given(0, STEPS), (np.int32(STEPS), runs.rest))[0])
    assert not np.isfinite(leaves(states[1].params)[0][1]).all() and same(at(states[0], 0), at(states[1], 0))


# ---- the tool


@pytest.mark.usefixtures("as_a_user")
def test_a_run_that_is_taken_out_is_that_of_train(capsys):
    """To sample, to go on with; its log, its rows and its numbers are those of the same run alone."""
    folder = jaxgen.sweep("vae", seeds=2, lr=(1e-3, np.inf), name="runs/sweep", **TINY)
    assert command("sweep", "take", folder, 1, "--name", "runs/one") == 0
    assert "runs/one: run 1 of runs/sweep (seed 1, lr 0.001)" in capsys.readouterr().out
    stacked = checkpoint.load(folder / "checkpoints", 6, like(folder))
    assert same(jaxgen.load("runs/one").state, at(stacked, 1))
    assert same(Run("runs/one").load_weights(), [at(stacked.ema[key], 1) for key in ("params", "stats")])
    assert command("sample", "runs/one", "--count", 4, "--out", "few.npz") == 0
    assert np.load("few.npz")["image"].shape == (4, 8, 8, 1)
    for name in ("runs/one", "runs/alone"):
        jaxgen.train("vae", **TINY | {"steps": 8}, seed=1, lr=1e-3, name=name, parallel="jit")
    for a, b in zip(leaves(jaxgen.load("runs/one").state), leaves(jaxgen.load("runs/alone").state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    for mine, theirs in zip(Run("runs/one").lines[:3], Run("runs/alone").lines[:3], strict=True):
        assert mine.keys() == theirs.keys() and mine["step"] == theirs["step"]
        assert all(np.isclose(mine[key], theirs[key], rtol=1e-4) for key in mine.keys() - {"seconds"})
    assert command("sweep", "take", folder, 4) == 2 and command("sweep", "take", folder, 1, "--name", "runs/one") == 2
    told = capsys.readouterr().err
    assert "index 4: runs/sweep has the runs 0 to 3." in told and "runs/one: is there already." in told


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_to_take_a_run_out_needs_no_data(schedule, monkeypatch, capsys):
    """And it is said of a run that diverged."""
    folder = jaxgen.sweep("vae", seeds=1, lr=(1e-3, np.inf), name="sweep", schedule=schedule, **TINY)
    monkeypatch.setattr("jaxgen.data.load", lambda *given: pytest.fail("the data were loaded"))
    capsys.readouterr()
    for index, told in enumerate(("", "run 1 diverged at step 2; this is its state of step 0\n")):
        taken = jaxgen.take(folder, index)
        assert capsys.readouterr().out.split(")\n")[1] == told
        assert checkpoint.latest(taken / "checkpoints") == (0 if told else 6)


def like(folder):
    """The shapes of a sweep's states."""
    config = Run(folder).read()
    return Runs(Setup(config["family"], config["settings"]), config["runs"]).like


@pytest.mark.usefixtures("as_a_user")
def test_a_sweep_that_is_stopped_goes_on_to_the_same_bits(monkeypatch):
    go = lambda name, **more: jaxgen.sweep("vae", seeds=2, lr=(1e-3, np.inf), name=name, **TINY | more)
    go("whole")
    attend, loops = Loop.attend, []
    stop = lambda loop: (attend(loop), loops.append(loop), loop.step >= 4 and os.kill(os.getpid(), signal.SIGINT))
    with monkeypatch.context() as patch, pytest.raises(Stopped, match="saved. The same command goes on"):
        patch.setattr(Loop, "attend", stop)
        go("stopped")
    assert checkpoint.latest("stopped/checkpoints") == 4
    assert loops[-1].call._cache_size() == loops[-1].settle._cache_size() == 1, "compiled more than once"
    go("stopped")
    for name in ("whole", "stopped"):
        Run(name).rewind(6)
    states = [checkpoint.load(f"{name}/checkpoints", 6, like(name)) for name in ("whole", "stopped")]
    assert same(*states) and states[0].step.tolist() == [6, 6, 0, 0]
    plain = lambda name: [{key: x for key, x in line.items() if key != "seconds"} for line in Run(name).lines]
    assert plain("whole") == plain("stopped")
    with pytest.raises(UserError, match="made with other runs: seeds 0 to 1, lr 0.001 inf -> seeds 0 to 2, lr 0.001"):
        jaxgen.sweep("vae", seeds=3, lr=(1e-3,), name="whole", **TINY)


@pytest.mark.usefixtures("as_a_user")
def test_the_command_prints_a_table(capsys):
    assert command("sweep", "vae", "--seeds", 2, "--lr=1e-3,inf", *WORDS) == 0
    told, folder = capsys.readouterr().out, Path("runs/vae-digits-sweep")
    assert "4 runs, over 4 devices, each as runs/vae-digits-sweep: " in told and "6 steps of 4 runs in " in told
    assert "run 3 (seed 1, lr inf) diverged at step 2" in told and "ms a step and run" in told
    assert "The best is run " in told and " ± " in told and " inf │    2 │        2 │" in told
    page = (folder / "report.md").read_text()
    averaged = (
        "The numbers are of held-out images, by the weights averaged with ema 0.995; the lines of the curves are of "
    )
    assert averaged in told and averaged in page
    assert "| 0.001 | 2 |  | " in page and "| inf | 2 | 2 |  |  |  |  |" in page and "diverged at step 2" in page
    assert "![Mean" in page and (folder / "curves.png").is_file()
    assert [line["step"] for line in Run(folder).lines] == [2, 2, 4, 4, 6, 6]
    assert Run(folder).lines[-1]["test_loss"][2:] == [None, None]
    assert command("sweep", "vae", "--seeds", 2, "--lr", "1e-3,inf", *WORDS) == 0
    assert "all done (6 made)" in capsys.readouterr().out
    assert command("sample", folder) == 2
    assert f"a sweep of 4 runs. Take one out: jaxgen sweep take {folder} INDEX" in capsys.readouterr().err


@pytest.mark.usefixtures("as_a_user")
def test_nothing_is_left_when_all_diverge(capsys):
    for _ in range(2):  # the same again when it is asked again
        with pytest.raises(Diverged, match="all runs diverged. Try a lower --lr"):
            jaxgen.sweep("vae", seeds=2, lr=(np.inf, 1e30), name="lost", **TINY)
    assert folders.diverged(Run("lost")) == [2, 2, 2, 2] and len(Run("lost").lines) == 2


@pytest.mark.usefixtures("as_a_user")
@pytest.mark.parametrize("due", ["save_every", "eval_every"])
def test_all_diverge_before_the_first_line_of_the_log(due):
    more = {"log_every": 10, "steps": 12, "eval_every": 12, due: 2}
    for _ in range(2):
        with pytest.raises(Diverged, match="all runs diverged. Try a lower --lr"):
            jaxgen.sweep("vae", seeds=2, lr=(np.inf,), name="lost", **TINY | more)
    page = Path("lost/report.md").read_text()
    assert "run 1 (seed 1, lr inf) diverged at step 2." in page and "curves.png" not in page
    assert not Path("lost/curves.png").exists()


def test_mean_and_interval():
    """Of 1, 2, 3: 2 ± 4.303 / sqrt(3), by Student's table."""
    assert report.interval([1.0, 2.0, 3.0]) == "2 ± 2.5" and report.interval([5.0]) == "5" and report.interval([]) == ""
    assert report.interval([1.0, np.nan, 2.0, 3.0]) == "2 ± 2.5" and report.interval([np.nan]) == ""


def test_what_the_numbers_of_a_report_are_of():
    found = lambda name: [report.Result(0, {"seed": 0}, {name: 1.0}, None)]
    told = lambda name, ema: report.measured(SimpleNamespace(config={"settings": {"ema": ema}}), found(name))
    assert told("loss", 0.9) == "The numbers are the last ones of training: nothing is held out."
    assert told("test_loss", 0.0).startswith("The numbers are of held-out images; ") and "ema 0.9;" in told(
        "test_loss", 0.9
    )


def test_a_loss_that_is_not_finite_is_not_the_best():
    folder = SimpleNamespace(config={"family": "vae"})
    found = [report.Result(i, {"seed": i}, {"test_loss": x}, None) for i, x in enumerate((np.nan, 3.0, 2.0, np.inf))]
    assert report.best(folder, found).number == 2 and report.best(folder, found[:1]) is None


BAD = [
    (["--batch", "32,64"], "batch 32,64: a sweep can list lr, weight_decay; another batch is another program. Start a"),
    (["--beta=1,2"], "beta 1,2: a sweep can list lr, weight_decay; another beta is another program."),
    (["--likelihood", "bernoulli,gaussian"], "likelihood bernoulli,gaussian: a sweep can list lr, weight_decay;"),
    (["--seed", "0,1"], "seed 0,1: expected one number, the first seed; how many there are is said by --seeds."),
    (["--lr", "1e-3,x"], "lr 1e-3,x: expected numbers with commas between them, got 'x'."),
    (["--lr", "1e-3,0.001"], "lr: 0.001 is listed twice."),
    (["--seeds", "0"], "seeds: expected at least 1, got 0."),
    (["--sedes", "2"], "unknown option --sedes. Did you mean --seeds?"),
    (
        ["--init", "a.safetensors"],
        "init: each run of a sweep begins with the weights of its seed. Leave it out, or use",
    ),
    (["--grid-every", "5"], "grid_every: a sweep draws no samples; take a run out and sample it. Leave it out"),
    (["--tensorboard"], "tensorboard: the log of a sweep has a list of numbers a metric."),
    (["--parallel", "pmap"], "parallel pmap: a sweep lays whole runs on the devices. Use auto, sharded or jit."),
    (["--data", "digits", "--stream", "yes"], "stream: the runs take their rows on the device, "),
]


@pytest.mark.parametrize("words, message", BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_line(words, message, capsys):
    assert command("sweep", "vae", *words) == 2
    told = capsys.readouterr().err
    assert told.startswith("jaxgen: ") and message in told and told.count("\n") == 1
    assert not Path("runs").exists()


def test_more_that_is_refused(tmp_path):
    """From Python, by a family, and by a folder."""
    with pytest.raises(UserError, match="batch .8, 16.: a sweep can list lr, weight_decay"):
        jaxgen.sweep("vae", batch=(8, 16))
    with pytest.raises(UserError, match="unknown option 'rate'"):
        jaxgen.sweep("vae", rate=(8, 16))
    (tmp_path / "own.py").write_text(OWN)
    with pytest.raises(UserError, match="lr: cannot be listed: the optimizers of own look at its value"):
        jaxgen.sweep("own.py", lr=(1e-3, 1e-2), **TINY)
    Path("run/checkpoints/3").mkdir(parents=True)
    Path("run/config.json").write_text("{}")
    with pytest.raises(UserError, match="run: a run of jaxgen train, not a sweep"):
        jaxgen.sweep("vae", name="run", **TINY)


OWN = """
import optax
from jaxgen.families import vae


class Family(vae.Family):
    def optimizers(self, lr: float = 1e-3):
        return {"vae": optax.adam(lr) if lr else optax.set_to_zero()}
"""


def test_what_there_is_to_know_before(capsys):
    assert command("sweep", "vae", "--seeds", 3, "--lr", "1e-3,2e-3", *WORDS, "--dry-run") == 0
    assert "of 6 such runs, whose states lie side by side: seeds 0 to 2, lr 0.001 0.002" in capsys.readouterr().out
    assert command("sweep", "--help") == 0 and command("sweep", "vae", "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "jaxgen sweep take RUN INDEX" in told and "runs of each combination of values" in told
