"""Images on their way from noise: `jaxgen sample --frames`, for every sampler of every family that has steps."""

import json
import os
from pathlib import Path
from typing import get_args

import jax
import numpy as np
import pytest
from PIL import Image
from tool import command

import jaxgen
from jaxgen import find, settings, weights
from jaxgen.errors import UserError
from jaxgen.functional import Functional

pytestmark = pytest.mark.usefixtures("as_a_user")

IN_STEPS = ("ddpm", "edm", "flow")
SAMPLERS = [
    (name, sampler)
    for name in IN_STEPS
    for sampler in get_args(settings.signature(find.family(name).__init__)["sampler"].annotation)
]


class Shrinks:
    """A network that is quick to compile, and looks at all it is given."""

    def __call__(self, x, time, label=None):
        return x * (0.3 + time / 2000)[:, None, None, None]


def tiny(name, **given):
    cls = find.family(name)
    return Functional(cls(**{**cls.small, "sampling_steps": 5, **given}))


def untrained(name, **given):
    """A file of initial weights -> its family."""
    cls = find.family(name)
    family = tiny(name, **given) if name in IN_STEPS else Functional(cls(**cls.small))
    arguments = {key: x.default for key, x in settings.signature(cls.__init__).items() if key != "self"}
    steps = {"sampling_steps": 5} if name in IN_STEPS else {}
    told = {"family": name, "arguments": {**arguments, **cls.small, **steps, **given}, "step": 0}
    weights.save(".", *jax.jit(family.init)(jax.random.key(0)), metadata={"jaxgen": json.dumps(told)})
    return family


@pytest.mark.parametrize("name, sampler", SAMPLERS)
def test_the_last_frame_is_the_sample_and_the_first_the_noise(name, sampler):
    family = tiny(name, sampler=sampler)
    family.module.net = Shrinks()
    draws = family.draw_sample(jax.random.key(3), 2)
    made = {frames: np.asarray(jax.jit(family.module.sample, static_argnums=1)(draws, frames)) for frames in (0, 2, 6)}
    start = draws["start"] * (family.sigmas[1] if name == "edm" else 1)
    for frames, some in made.items():
        if frames:
            assert some.shape == (frames, 2, 8, 8, 1)
            np.testing.assert_array_equal(some[-1], made[0])
            np.testing.assert_allclose(some[0], start, rtol=1e-6)
    size = [np.abs(x).mean() for x in made[6]]
    assert size[0] > size[-1] and max(size) < 1.5 * size[0], "x itself, not x / alpha"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flow", "ddpm", "edm"])
def test_frames_of_a_file_of_weights(name):
    """The network as it is; images and frames through the same door."""
    untrained(name)
    images = jaxgen.sample("net.safetensors", count=3)
    frames = jaxgen.sample("net.safetensors", count=3, frames=4, batch=2)
    assert frames.dtype == np.uint8 and frames.shape == (3, 4, 8, 8, 1)
    assert np.abs(frames[:, -1].astype(int) - images).max() <= 1  # batches of other sizes
    np.testing.assert_array_equal(jaxgen.sample("net.safetensors", count=3, frames=4)[:, -1], images)


@pytest.mark.slow
def test_every_place_holds_the_same_frames():
    untrained("flow")
    frames = jaxgen.sample("net.safetensors", frames=3)
    assert frames.shape == (8, 3, 8, 8, 1), "eight where nobody says"
    for out in ("some.npz", "some.png", "some"):
        jaxgen.sample("net.safetensors", frames=3, out=out)
    with np.load("some.npz") as told:
        assert told.files == ["frames"]
        np.testing.assert_array_equal(told["frames"], frames)
    with Image.open("some/000002.png") as strip:
        np.testing.assert_array_equal(strip, np.concatenate(frames[2], 1)[..., 0])
    with Image.open("some.png") as grid:  # with a gap of 2 around each, enlarged
        times = grid.width // (3 * 10 + 2)
        sheet = np.asarray(grid)[times // 2 :: times, times // 2 :: times]
    np.testing.assert_array_equal(sheet[2:10, 22:30], frames[0, 2, ..., 0])
    np.testing.assert_array_equal(sheet[12:20, 2:10], frames[1, 0, ..., 0])


def test_the_command():
    untrained("flow")
    assert command("sample", "net.safetensors", "--frames", 3, "--count", 2) == 0
    assert sorted(os.listdir()) == ["frames_0.png", "net.safetensors"]


@pytest.mark.parametrize("name, words, message", [
    ("vae", ["--frames", 4], ".safetensors: its family makes an image at once; nothing is on the way. Leave out"),
    ("dcgan", ["--frames", 4], ".safetensors: its family makes an image at once"),
    ("flow", ["--frames", 1], "frames: expected 2 to 6, the steps and the start, or 0 for none, got 1."),
    ("flow", ["--frames", 7], "frames: expected 2 to 6, the steps and the start, or 0 for none, got 7."),
    ("flow", ["--frames", 5, "--count", 900], "a grid has at most 1,024 images, got 4,500."),
])  # fmt: skip
def test_what_cannot_be_is_one_line(name, words, message, capsys):
    untrained(name)
    file = {"vae": "vae.safetensors", "dcgan": "gen.safetensors"}.get(name, "net.safetensors")
    before = sorted(os.listdir())
    assert command("sample", file, *words) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert sorted(os.listdir()) == before and not list(Path().glob("*.part*"))


@pytest.mark.parametrize("frames", [1, 7, -1])
def test_rk4_counts_its_steps_as_the_others(frames):
    family = tiny("edm", sampler="rk4")
    family.module.net = Shrinks()
    with pytest.raises(UserError, match=f"expected 2 to 6, the steps and the start, or 0 for none, got {frames}"):
        family.module.sample(family.draw_sample(jax.random.key(3), 2), frames)
