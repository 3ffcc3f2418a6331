"""The shape of the code: imports point one way, twins mirror each other, and starting is fast."""

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def imports(path):
    """Modules imported at the top of a file."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


@pytest.mark.parametrize("package", ["jaxgen", "torch_ref"])
def test_no_circle(package):
    files = dict(modules(package))
    graph = {name: {used for used in imports(path) if used in files and used != name} for name, path in files.items()}
    inits = {name for name, path in files.items() if path.name == "__init__.py"}
    # a package and its own modules are one room
    graph = {name: {u for u in used if not (u in inits and name.startswith(u + "."))} for name, used in graph.items()}
    while leaves := {name for name, used in graph.items() if not used & graph.keys()}:
        graph = {name: used for name, used in graph.items() if name not in leaves}
    assert not graph, f"a circle among {sorted(graph)}"


def test_one_direction():
    """cli -> training, sampling, parity -> core, parallel -> families -> nn."""
    low = (
        "jaxgen.nn",
        "jaxgen.families",
        "jaxgen.backbones",
        "jaxgen.diffusion",
        "jaxgen.core",
        "jaxgen.parallel",
        "jaxgen.axis",
        "jaxgen.functional",
        "jaxgen.noise",
    )
    high = (
        "jaxgen.cli",
        "jaxgen.training",
        "jaxgen.sampling",
        "jaxgen.parity",
        "jaxgen.run",
        "jaxgen.data",
        "jaxgen.bench",
    )
    for name, path in modules("jaxgen"):
        if name.startswith(low):
            assert not [used for used in imports(path) if used.startswith(high)], name


# modules of the proof that are imported only when a torch side is at hand
BEHIND_THE_DOOR = tuple(f"jaxgen.parity.{name}" for name in ("stranger_", "diagnosis", "semantics.", "errata."))


def test_each_side_stands_alone():
    for name, path in modules("jaxgen"):
        used = {used.split(".")[0] for used in imports(path)}
        assert name.startswith(BEHIND_THE_DOOR) or not used & {"torch", "torchvision", "torch_ref"}, path
    for _, path in modules("torch_ref"):
        assert not [used for used in imports(path) if used.split(".")[0] in ("jax", "flax", "jaxgen", "optax")], path


def test_the_proof_is_imported_without_torch():
    """Commands, tables and bundles; what needs torch says so when it is used."""
    names = ("cli", "parity", "parity.commands", "parity.table", "parity.ladder", "parity.report", "completion")
    blocked = "import sys; sys.modules['torch'] = None; import " + ", ".join(f"jaxgen.{name}" for name in names)
    fastest("-c", blocked, tries=1)


def test_only_the_border_and_the_modules_know_flax():
    """The proof looks into strangers' models, so it knows too."""
    for name, path in modules("jaxgen"):
        knows = any(used.startswith("flax.nnx") or used == "flax.nnx" for used in imports(path))
        rooms = ("jaxgen.nn", "jaxgen.families", "jaxgen.backbones", "jaxgen.functional", "jaxgen.parity")
        inside = name.startswith(rooms)
        assert inside or not knows, name


def test_families_have_twins():
    ours, theirs = (
        {path.stem for path in (ROOT / package / "families").glob("*.py")} for package in ("jaxgen", "torch_ref")
    )
    assert ours == theirs


def fastest(*command, tries=3):
    times = []
    for _ in range(tries):
        begun = time.perf_counter()
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT)
        times.append(time.perf_counter() - begun)
        assert done.returncode == 0, done.stderr
    return min(times), done.stdout


@pytest.mark.parametrize(
    "command, seconds",
    [
        (("-c", "import jaxgen, sys; assert not {'jax', 'flax', 'torch', 'numpy'} & set(sys.modules)"), 0.3),
        (("-m", "jaxgen", "--help"), 0.5),
        (("-m", "jaxgen", "list"), 0.5),
        (("-m", "jaxgen", "train", "dcgan", "--help"), 6.0),
    ],
)
def test_starting_is_fast(command, seconds):
    assert fastest(*command)[0] < seconds


def test_training_never_imports_torch(tmp_path):
    train = "import jaxgen, sys; jaxgen.train('vae', data='digits', steps=2, log_every=2, name=sys.argv[1])"
    fastest("-c", f"{train}; assert 'torch' not in sys.modules", str(tmp_path / "run"), tries=1)
