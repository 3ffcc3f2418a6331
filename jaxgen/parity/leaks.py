"""Where a program computes in less than it was given: a float64 check that silently runs in float32 proves nothing."""

from pathlib import Path

import flax
import jax
import jax.numpy as jnp
import optax
from jax.extend.core import ClosedJaxpr, Jaxpr

from jaxgen.parity.compare import Row

LIBRARIES = [Path(str(module.__file__)).parent for module in (jax, flax, optax)]


def compare(setting):
    """-> Row: every operation of a step and of sampling that makes floats narrower than float64."""
    family, state = setting.family, setting.state
    programs = [read(setting.update, state, *setting.step(0))]
    if hasattr(family, "sample"):
        draws = family.draw_sample(jax.random.key(7), 4)
        programs.append(jax.make_jaxpr(family.sample)(state.params, state.stats, draws))
    setting.shown["leaks"] = [leak for program in programs for leak in narrow(program)]
    told = lambda leak: f"{leak['op']} in {leak['dtype']} at {leak['source']}"
    return Row("leaks", {told(leak): float("inf") for leak in setting.shown["leaks"]}, 0.0)


def read(function, *args):
    """What a compiled function traced is not traced again."""
    return function.trace(*args).jaxpr if hasattr(function, "trace") else jax.make_jaxpr(function)(*args)


def narrow(jaxpr, bits=64):
    """[{"op", "dtype", "source"}] of the operations whose results are floats of fewer bits, each place once."""
    found = {}
    for eqn in equations(jaxpr.jaxpr if isinstance(jaxpr, ClosedJaxpr) else jaxpr):
        for out in eqn.outvars:
            dtype = getattr(out.aval, "dtype", None)
            if dtype is not None and jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < bits:
                place = {"op": eqn.primitive.name, "dtype": dtype.name, "source": source(eqn)}
                found[tuple(place.values())] = place
    return list(found.values())


def equations(jaxpr):
    """Those of the program and of all programs inside of it: branches, loops, calls."""
    for eqn in jaxpr.eqns:
        inner = [sub for value in eqn.params.values() for sub in programs(value)]
        yield from (each for sub in inner for each in equations(sub))
        if not inner:
            yield eqn


def programs(value):
    if isinstance(value, ClosedJaxpr):
        return [value.jaxpr]
    if isinstance(value, Jaxpr):
        return [value]
    return [sub for each in value for sub in programs(each)] if isinstance(value, list | tuple) else []


def source(eqn):
    """The line of the user's own file, else that of the library."""
    traceback = eqn.source_info.traceback
    frames = list(traceback.frames) if traceback else []
    own = [frame for frame in frames if not any(Path(frame.file_name).is_relative_to(path) for path in LIBRARIES)]
    frame = next(iter(own or frames), None)
    return f"{Path(frame.file_name).name}:{frame.line_num} ({frame.function_name})" if frame else "unknown"
