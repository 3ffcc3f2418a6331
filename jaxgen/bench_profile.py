"""Where a program spends its time, by the names of its kernels."""

import tempfile
from pathlib import Path

import jax


def kernels(call, steps=1):
    """{kernel: milliseconds a step}, the longest first, of one call that makes so many steps."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(call())
        [path] = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
    spent: dict[str, float] = {}
    for plane in data.planes:
        for line in plane.lines:
            if is_stream(plane.name, line.name):
                for event in line.events:
                    spent[event.name] = spent.get(event.name, 0.0) + event.duration_ns / 1e6 / steps
    return dict(sorted(spent.items(), key=lambda item: -item[1]))


def is_stream(plane, line):
    """Whether a line of a trace tells of kernels: a GPU has one for each of its streams, a CPU one for each thread of
    the compiler's pool."""
    return line.startswith("Stream") if plane.startswith("/device:GPU") else line.startswith("tf_XLA")
