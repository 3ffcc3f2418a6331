"""What takes minutes: the documented sizes, the other modes of NNX, the newest JAX, and the wheel as built."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest
from cases import FIRST
from names import NAMES

from jaxgen import find, parity
from jaxgen.nn import winograd
from jaxgen.parity.mutations import mutations, score_by_name

pytestmark = pytest.mark.slow
STEP = ("outputs", "losses", "gradients", "metrics", "weights", "optimizer", "statistics", "averages", "samples")
ROOT = Path(__file__).parent.parent
SIZES = [
    ("vae", {}, {"vae": 549_688}),
    ("mlp_gan", {}, {"disc": 1_460_225, "gen": 1_486_352}),
    ("dcgan", {}, {"disc": 2_763_520, "gen": 3_574_656}),
    ("dcgan", {"size": 32, "channels": 3}, {"disc": 663_296, "gen": 1_068_928}),
    ("cgan", {}, {"disc": 2_773_760, "gen": 3_656_576}),
    ("wgan_gp", {"turns": 2, "critic": "documented"}, {"critic": 2_763_520, "gen": 3_574_656}),
    ("ddpm", {"sampling_steps": 3}, {"net": 3_908_865}),
]


@pytest.mark.parametrize("name, arguments, counts", SIZES, ids=[f"{name} {arguments}" for name, arguments, _ in SIZES])
def test_documented_sizes(name, arguments, counts):
    """Names, shapes, counts, and a float64 step at every level."""
    case = parity.Case(name, arguments, find.family(name), find.twin(name))
    twin = case.theirs(**arguments)
    assert {net: sum(x.numel() for x in module.parameters()) for net, module in twin.named_children()} == counts
    result = parity.verify(case, steps=1, only=STEP)
    assert result.ok, str(result)


@pytest.mark.parametrize("case", [x for x in FIRST.values() if x.name not in ("vae", "mlp_gan")], ids=str)
def test_families_by_minimal_filtering(case, monkeypatch):
    """The small nets are too thin for it by themselves; those without a convolution have none. Every level, and every
    precision."""
    products, taken = winograd.products, []
    monkeypatch.setattr(winograd, "products", lambda *given: taken.append(given[0]) or products(*given))
    anywhere = {taps: each._replace(channels=0) for taps, each in winograd.FILTERS.items()}
    monkeypatch.setattr(winograd, "FILTERS", anywhere)
    monkeypatch.setattr(winograd, "LEAST", 1)
    jax.clear_caches()
    result = parity.verify(case, trajectory=0)
    jax.clear_caches()
    assert result.ok, str(result)
    assert set(taken) == {"tc,oc->to", "to,oc->tc", "to,tc->oc"}, "all three forms"


@pytest.mark.alone
def test_all_twins_at_every_level_within_five_minutes():
    """The promise of `jaxgen verify` on two idle cores, with room for a busy machine."""
    begun = time.perf_counter()
    told = run(sys.executable, "-m", "jaxgen", "verify")
    assert "all equal in" in told and time.perf_counter() - begun < 2 * 300, told


@pytest.mark.alone
def test_the_diagnosis_is_as_often_right_as_is_promised():
    print(run(sys.executable, "-m", "jaxgen", "parity", "diagnose", "--score"))


@pytest.mark.alone
def test_every_mutation_is_killed():
    """Each is planted where all layers and steps are at work, or in the first family that can have it."""
    found = list(score_by_name(()))
    assert [each["mutation"] for each in found if not each["killed"]] == []
    left = {mutation.name for mutation in mutations()} - {each["mutation"] for each in found}
    assert left == {"players: by turns"}  # for families that play at once


def run(*command, **environment):
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_tree_mode():
    """The border works whichever way NNX keeps its modules."""
    flags = {"NNX_GRAPH_MODE": "false", "NNX_GRAPH_UPDATES": "false"}
    run(sys.executable, "-m", "pytest", "-q", "parity_tests/test_golden.py", "parity_tests/test_players.py", **flags)


NEED_TORCH = "documented_transforms", "family_in_a_file", "verify", "missing_extra", "torchvision", "vea"


def newest_python():
    """A later Python, for which there is a later JAX."""
    places = [Path(path) for path in (shutil.which("python3.13"), shutil.which("python3.12")) if path]
    places += sorted(Path.home().glob(".pyenv/versions/3.1[23]*/bin/python"), reverse=True)
    works = lambda path: subprocess.run([path, "-c", "import ensurepip"], capture_output=True).returncode == 0
    return next((path for path in places if works(path)), None)


def test_the_newest_jax():
    """The JAX side alone, as installed by pip without torch: golden numbers, players, ways to run, the tool."""
    if newest_python() is None:
        pytest.skip("the newest JAX needs Python 3.12 or later, which is not on this machine")
    venv = ROOT / ".venv-newest"
    python = venv / "bin" / "python"
    if not python.exists():
        run(str(newest_python()), "-m", "venv", str(venv))
    run(str(python), "-m", "pip", "install", "-q", "--upgrade", "-e", ".[demo]", "pytest", "filelock")
    print(run(str(python), "-c", "import jax, flax; print(jax.__version__, flax.__version__)"))
    tests = ("golden", "players", "data", "parallel", "training", "loop", "sampling")
    skipped = " and ".join(f"not {name}" for name in NEED_TORCH)
    files = [f"parity_tests/test_{name}.py" for name in tests]
    run(str(python), "-m", "pytest", "-q", *files, "-k", skipped)
    run(str(python), "-m", "pytest", "-q", "-m", "slow", "parity_tests/test_golden.py")


def test_the_wheel_as_built(tmp_path):
    """It holds both packages and nothing else, and its console command runs."""
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(tmp_path), ".")
    (wheel,) = tmp_path.glob("*.whl")
    names = run(sys.executable, "-m", "zipfile", "-l", str(wheel))
    for file in (
        "jaxgen/families/vae.py",
        "jaxgen/py.typed",
        "torch_ref/families/vae.py",
        "entry_points.txt",
        "LICENSE",
    ):
        assert file in names
    assert "parity_tests" not in names
    run(sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(tmp_path / "site"), str(wheel))
    told = run(sys.executable, "-m", "jaxgen", "list", PYTHONPATH=str(tmp_path / "site"), PYTHONSAFEPATH="1")
    assert all(name in told for name in NAMES if not find.is_path(name))
