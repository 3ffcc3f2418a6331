"""Every test runs in float64, where a wrong formula cannot hide in rounding, and with four CPU devices."""

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 4)


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield
