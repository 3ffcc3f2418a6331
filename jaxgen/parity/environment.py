"""What a proof ran on: versions, device, and the precision settings of both sides."""

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import jax

FLAGS = ("jax_default_matmul_precision", "jax_enable_x64", "jax_numpy_dtype_promotion", "jax_threefry_partitionable")


def versions():
    """Versions and device."""
    devices = jax.devices()
    told = {name: installed(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy", "torch")}
    device = f"{jax.default_backend()} x {len(devices)}: {devices[0].device_kind}"
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return {"python": platform.python_version(), **told, "device": device, "date": date}


def installed(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def precision():
    """The settings by which a float32 product may be less than that; those of torch only if it was used."""
    told = {"jax": {flag: str(getattr(jax.config, flag)) for flag in FLAGS}}
    if torch := sys.modules.get("torch"):
        told["torch"] = {
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "cuda.matmul.allow_tf32": str(torch.backends.cuda.matmul.allow_tf32),
            "cudnn.allow_tf32": str(torch.backends.cudnn.allow_tf32),
            "default_dtype": str(torch.get_default_dtype()),
            "deterministic_algorithms": str(torch.are_deterministic_algorithms_enabled()),
        }
    return told
