"""Compiled programs that outlive a process: JAX's persistent cache, in a folder that nobody else can write to, because
what is found there is run."""

import hashlib
import os
import platform
import time
from pathlib import Path

from jaxgen.errors import UserError

DAYS = 30  # that a program is kept
SECONDS = 0.3  # that compiling took at least, or it is not worth a file


def keep():
    """For this process, unless JAX was told a place already, or JAXGEN_PROGRAMS is "off"."""
    if os.environ.get("JAXGEN_PROGRAMS") == "off" or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    import jax

    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "jaxgen")
    folder = base / "programs" / f"jax-{jax.__version__}-{machine()}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for place in (base, base / "programs", folder):
            check(place)
        forget(folder, time.time() - DAYS * 86400)
    except OSError:  # a home that cannot be written: every start compiles anew
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)


def check(folder):
    """Refused if it is another user's, or if others can write to it."""
    told = folder.stat()
    if hasattr(os, "getuid") and (told.st_uid != os.getuid() or told.st_mode & 0o022):
        raise UserError(
            f"{folder}: others can write here, and compiled programs are read from it and run. "
            f"Make it yours alone (chmod go-w), or set JAXGEN_PROGRAMS=off."
        )


def forget(folder, before):
    """Programs that were made earlier."""
    for path in folder.iterdir():
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)


def machine():
    """A program is of a kind of processor: homes are shared by machines that know other instructions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    flags = [line for line in lines if line.startswith(("flags", "Features", "model name"))][:2]
    return hashlib.sha256("\n".join([platform.machine(), platform.processor(), *flags]).encode()).hexdigest()[:12]
