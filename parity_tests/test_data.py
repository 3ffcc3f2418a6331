"""Data: shapes, ranges, the order of rows, and the documented transforms."""

import jax
import numpy as np
import pytest
from PIL import Image

from jaxgen import data
from jaxgen.core import Input
from jaxgen.errors import UserError


def test_digits_hold_out_a_fixed_tenth():
    digits = data.load("digits")
    assert digits.train["image"].shape == (1618, 12, 12, 1) and digits.test["image"].shape == (179, 12, 12, 1)
    assert digits.train["image"].dtype == np.uint8 and digits.train["image"].max() == 255
    assert digits.train["label"].dtype == np.int32 and set(digits.test["label"]) == set(range(10))
    again = data.load("digits")
    np.testing.assert_array_equal(digits.test["image"], again.test["image"])
    seen = {x.tobytes() for x in digits.train["image"]}
    assert sum(x.tobytes() in seen for x in digits.test["image"]) == 0


def test_rows_are_a_function_of_seed_and_step():
    """Each epoch is a permutation; the last part that does not fill a batch is dropped."""
    epoch = [data.rows(10, 3, seed=1, step=t) for t in range(3)]
    assert len(set(np.concatenate(epoch))) == 9
    np.testing.assert_array_equal(epoch[1], data.rows(10, 3, 1, 1))
    assert not np.array_equal(np.concatenate(epoch), np.concatenate([data.rows(10, 3, 1, t) for t in range(3, 6)]))
    assert not np.array_equal(epoch[0], data.rows(10, 3, 2, 0))


def test_a_batch_has_the_range_of_the_family():
    inputs = {"image": Input((2, 4, 4, 1), low=-1.0), "label": Input((2,), high=9, dtype="int32")}
    arrays = {"image": np.arange(48, dtype=np.uint8).reshape(3, 4, 4, 1) * 5, "label": np.array([3, 1, 2], np.int32)}
    arrays["image"][0, 0, 0] = 255
    batch = data.scaled(jax.device_put(arrays), inputs, np.array([2, 0]))
    assert batch["image"].shape == (2, 4, 4, 1) and batch["image"].dtype == np.float32
    np.testing.assert_allclose(batch["image"], arrays["image"][[2, 0]] / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(batch["label"], [2, 3])


def test_labels_out_of_range_are_refused():
    arrays = {"image": np.zeros((3, 4, 4, 1), np.uint8), "label": np.array([3, 10, 2], np.int32)}
    with pytest.raises(UserError, match="label: expected values 0 to 9, got 2 to 10"):
        data.fit(arrays, {"image": Input((2, 4, 4, 1)), "label": Input((2,), high=9, dtype="int32")})
    with pytest.raises(UserError, match="the family needs label, the data has image"):
        data.fit(
            {"image": arrays["image"]}, {"image": Input((2, 4, 4, 1)), "label": Input((2,), high=9, dtype="int32")}
        )


@pytest.mark.parametrize("size", [32, 64, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_documented_transforms_give_the_same_arrays(size, channels):
    """torchvision's Resize, ToTensor and Normalize(0.5, 0.5) on Pillow images; gray repeated as Grayscale(3) does."""
    from torch_ref.vision import documented_transform

    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
    inputs = {"image": Input((3, size, size, channels), low=-1.0)}
    have = data.scaled(jax.device_put(data.fit({"image": images}, inputs)), inputs, np.arange(3))["image"]
    transform = documented_transform(size, channels)
    want = np.stack([transform(Image.fromarray(x[..., 0])).numpy() for x in images])
    np.testing.assert_allclose(np.moveaxis(np.asarray(have), -1, 1), want, rtol=0, atol=2e-7)


def test_mnist_is_found(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    part = lambda n: (rng.integers(0, 256, (n, 28, 28), np.uint8), rng.integers(0, 10, n, np.uint8))
    (x_train, y_train), (x_test, y_test) = part(20), part(5)
    np.savez(tmp_path / "mnist.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    for place in ("argument", "variable", "file"):
        monkeypatch.setenv("JAXGEN_DATA", str(tmp_path) if place == "variable" else "")
        name = str(tmp_path / "mnist.npz") if place == "file" else "mnist"
        loaded = data.load(name, str(tmp_path) if place == "argument" else None)
        assert loaded.train["image"].shape == (20, 28, 28, 1) and loaded.test["label"].dtype == np.int32
        assert loaded.name == "mnist"
