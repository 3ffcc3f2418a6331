"""Compiled programs that are kept between starts: found again, refused where others can write, let go in time."""

import os
import subprocess
import sys
import time

import pytest

from jaxgen import programs
from jaxgen.errors import UserError


def start(home, code, **more):
    """Python in a fresh process whose cache is `home`."""
    dropped = ("JAX_COMPILATION_CACHE_DIR", "JAX_COMPILATION_CACHE_MAX_SIZE")
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**kept, "XDG_CACHE_HOME": str(home), **more}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


COMPILES = """
import jax
from jaxgen import programs
programs.SECONDS = 0
programs.keep()
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
jax.jit(lambda x: jax.numpy.tanh(x) @ x)(jax.numpy.ones((8, 8)))
print(sum(event == "/jax/compilation_cache/cache_hits" for event in hits))
"""


def test_a_second_start_finds_the_program(tmp_path):
    assert int(start(tmp_path, COMPILES)[0]) == 0
    assert int(start(tmp_path, COMPILES)[0]) > 0
    [folder] = (tmp_path / "jaxgen" / "programs").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700 and list(folder.iterdir())


def test_none_is_kept_where_that_is_asked_for(tmp_path):
    start(tmp_path, COMPILES, JAXGEN_PROGRAMS="off")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="who may write is asked of POSIX systems alone")
def test_a_folder_that_others_can_write_is_refused(tmp_path):
    programs.check(tmp_path)
    tmp_path.chmod(0o777)
    with pytest.raises(UserError, match=r"others can write here, .*chmod go-w.*JAXGEN_PROGRAMS=off"):
        programs.check(tmp_path)


def test_old_programs_are_let_go(tmp_path):
    for name, days in (("old", 31), ("new", 1)):
        (tmp_path / name).write_bytes(b"")
        made = time.time() - 86400 * days
        os.utime(tmp_path / name, (made, made))
    programs.forget(tmp_path, time.time() - 86400 * programs.DAYS)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
