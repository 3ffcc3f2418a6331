"""Every test runs in float64, where a wrong formula cannot hide in rounding, and with four CPU devices."""

import itertools
import os
from pathlib import Path

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 4)
RUN = itertools.count()  # tests of this process


@pytest.fixture(autouse=True, scope="session")
def programs(tmp_path_factory):
    """Many tests run the same small programs; each is compiled once. Processes that run or are started by tests share
    them; with a bound on the size, which is never reached, JAX locks the folder."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "programs"
    folder.mkdir(exist_ok=True)
    options = {"dir": str(folder), "max_size": 1 << 34}
    for name, value in options.items():
        os.environ[f"JAX_COMPILATION_CACHE_{name.upper()}"] = str(value)
        jax.config.update(f"jax_compilation_cache_{name}", value)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


@pytest.fixture(autouse=True)
def memory_is_left():
    """A process may map 65,530 pieces of memory; a compiled program takes ten, and what has no piece left aborts.
    To count them takes 50 ms."""
    yield
    maps = Path("/proc/self/maps")  # on Linux
    if next(RUN) % 8 == 0 and maps.exists() and maps.read_bytes().count(b"\n") > 40_000:
        jax.clear_caches()


@pytest.fixture
def as_a_user(monkeypatch, tmp_path):
    """In float32, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    with jax.enable_x64(False):
        yield


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield
