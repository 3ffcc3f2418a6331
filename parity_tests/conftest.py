"""Every test runs in float64, where a wrong formula cannot hide in rounding, and with four CPU devices."""

import os

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 4)


@pytest.fixture(autouse=True, scope="session")
def programs(tmp_path_factory):
    """Many tests run the same small programs; each is compiled once. Processes that tests start share them."""
    folder = str(tmp_path_factory.mktemp("programs"))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


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
