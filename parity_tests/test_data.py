"""Data in memory: sets known by name, files that hold a whole set, what is refused, and the order of rows."""

import gzip
import io
import pickle
import sys
import tarfile
import threading
import time
from functools import partial
from hashlib import md5
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import jax
import numpy as np
import pytest
from PIL import Image

from jaxgen import data
from jaxgen.core import Input
from jaxgen.data import archives, builtin, fetching, look
from jaxgen.errors import StorageError, UserError

IMAGE = {"image": Input((2, 4, 4, 1))}
LABELLED = IMAGE | {"label": Input((2,), high=9, dtype="int32")}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No data of the user's, no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAXGEN_MIRROR", "http://127.0.0.1:9")
    monkeypatch.delenv("JAXGEN_DATA", raising=False)


def digits_like(count, size=28, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, size, size), np.uint8), rng.integers(0, 10, count, np.uint8)


def keras(path, size=28):
    (x_train, y_train), (x_test, y_test) = digits_like(20, size), digits_like(5, size, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return x_train, y_train


def idx(folder, suffix=".gz", count=20):
    """The four files as Yann LeCun lays them out."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = digits_like(count), digits_like(5, seed=1)
    for name, x in zip(archives.IDX, (x for part in parts for x in part), strict=True):
        raw = bytes([0, 0, 8, x.ndim]) + np.array(x.shape, ">i4").tobytes() + x.tobytes()
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(raw) if suffix else raw)
    return parts[0]


def cifar_batches(count=4):
    rng = np.random.default_rng(2)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    return {name: (rng.integers(0, 256, (count, 3072), np.uint8), rng.integers(0, 10, count)) for name in names}


def archive(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as file:
        for name, raw in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            file.addfile(info, io.BytesIO(raw))
    return path


def binary(path, batches):
    rows = {name: np.concatenate([y[:, None].astype(np.uint8), x], 1) for name, (x, y) in batches.items()}
    members = {f"cifar-10-batches-bin/{name}.bin": x.tobytes() for name, x in rows.items()}
    return archive(path / "cifar-10-binary.tar.gz", {"cifar-10-batches-bin/readme.html": b"hello"} | members)


def python2(values, labels):
    """The bytes that Python 2 and its NumPy wrote, opcode by opcode."""
    text = lambda x: b"U" + bytes([len(x)]) + x
    number = lambda x: b"J" + int(x).to_bytes(4, "little")
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01"
    array += number(values.shape[0]) + number(values.shape[1]) + b"\x86"
    array += b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
    array += b"T" + values.size.to_bytes(4, "little") + values.tobytes() + b"tb"
    named = b"](" + b"".join(number(y) for y in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + named + b"u."


def test_digits_hold_out_a_fixed_tenth():
    digits = data.load("digits")
    assert digits.train["image"].shape == (1618, 12, 12, 1) and digits.test["image"].shape == (179, 12, 12, 1)
    assert digits.train["image"].dtype == np.uint8 and digits.train["image"].max() == 255
    assert digits.train["label"].dtype == np.int32 and set(digits.test["label"]) == set(range(10))
    assert digits.classes == tuple("0123456789") and not digits.flips and len(digits.train) == 1618
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


def test_a_late_step_costs_no_more_than_the_first():
    begun = time.perf_counter()
    late = data.rows(1000, 10, seed=0, step=10**12)
    assert time.perf_counter() - begun < 0.1 and len(set(late)) == 10


def test_a_batch_has_the_range_of_the_family():
    inputs = {"image": Input((2, 4, 4, 1), low=-1.0), "label": Input((2,), high=9, dtype="int32")}
    arrays = {"image": np.arange(48, dtype=np.uint8).reshape(3, 4, 4, 1) * 5, "label": np.array([3, 1, 2], np.int32)}
    arrays["image"][0, 0, 0] = 255
    batch = data.scaled(jax.device_put(arrays), inputs, np.array([2, 0]))
    assert batch["image"].shape == (2, 4, 4, 1) and batch["image"].dtype == np.float32
    np.testing.assert_allclose(batch["image"], arrays["image"][[2, 0]] / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(batch["label"], [2, 3])
    gathered = data.scale(data.Arrays(arrays).take(np.array([2, 0])), inputs)
    np.testing.assert_allclose(gathered["image"], batch["image"], atol=1e-6)


def test_labels_out_of_range_are_refused():
    arrays = {"image": np.zeros((3, 4, 4, 1), np.uint8), "label": np.array([3, 10, 2], np.int32)}
    with pytest.raises(UserError, match="label: expected values 0 to 9, got 2 to 10"):
        data.fit(data.Arrays(arrays), LABELLED)
    with pytest.raises(UserError, match="the family needs label, the data has image"):
        data.fit(data.Arrays({"image": arrays["image"]}), LABELLED)


@pytest.mark.parametrize("size", [32, 64, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_documented_transforms_give_the_same_arrays(size, channels):
    """torchvision's Resize, ToTensor and Normalize(0.5, 0.5) on Pillow images; gray repeated as Grayscale(3) does."""
    from torch_ref.vision import documented_transform

    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), np.uint8)
    inputs = {"image": Input((3, size, size, channels), low=-1.0)}
    source = data.fit(data.Arrays({"image": images}), inputs)
    have = data.scaled(jax.device_put(source.whole()), inputs, np.arange(3))["image"]
    transform = documented_transform(size, channels)
    want = np.stack([transform(Image.fromarray(x[..., 0])).numpy() for x in images])
    np.testing.assert_allclose(np.moveaxis(np.asarray(have), -1, 1), want, rtol=0, atol=2e-7)


def test_mnist_is_found(tmp_path, monkeypatch):
    """A file named and shaped like it counts as the set itself, so it is resized without being asked to."""
    keras(tmp_path / "mnist.npz")
    for place in ("argument", "variable", "file"):
        monkeypatch.setenv("JAXGEN_DATA", str(tmp_path) if place == "variable" else "")
        name = str(tmp_path / "mnist.npz") if place == "file" else "mnist"
        loaded = data.load(name, str(tmp_path) if place == "argument" else None)
        assert loaded.train["image"].shape == (20, 28, 28, 1) and loaded.test["label"].dtype == np.int32
        assert loaded.name == "mnist" and loaded.where == str(tmp_path / "mnist.npz") and not loaded.flips
        assert data.fit(loaded.train, {"image": Input((1, 32, 32, 1))}).nbytes == 20 * 32 * 32


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    "name, folder",
    [
        ("mnist", "MNIST/raw"),
        ("mnist", "mnist"),
        ("fashion_mnist", "FashionMNIST/raw"),
        ("fashion_mnist", "fashion_mnist"),
    ],
)
def test_idx_files_are_found(tmp_path, name, folder, suffix):
    images, labels = idx(tmp_path / folder, suffix)
    by_file = str(tmp_path / folder / f"train-images-idx3-ubyte{suffix}")
    for loaded in (data.load(name, str(tmp_path)), data.load(by_file)):
        np.testing.assert_array_equal(loaded.train["image"][..., 0], images)
        np.testing.assert_array_equal(loaded.train["label"], labels)
        assert loaded.name == name and len(loaded.test) == 5 and loaded.flips == (name == "fashion_mnist")
        assert loaded.classes[9] == ("9" if name == "mnist" else "Ankle boot")


def test_cifar10_in_each_of_its_archives(tmp_path):
    batches = cifar_batches()
    members = {f"cifar-10-batches-py/{name}": python2(*batch) for name, batch in batches.items()}
    members["cifar-10-batches-py/batches.meta"] = b"not looked at"
    files = binary(tmp_path / "a", batches), archive(tmp_path / "b" / "cifar-10-python.tar.gz", members)
    for path in files:
        for loaded in (data.load("cifar10", str(path.parent)), data.load(str(path))):
            assert loaded.classes[0] == "airplane" and loaded.flips and loaded.where == str(path)
            assert loaded.train["image"].shape == (20, 32, 32, 3) and loaded.test["label"].shape == (4,)
            # a row is red, then green, then blue, each line by line
            np.testing.assert_array_equal(
                loaded.train["image"][0, :, :, 2].ravel(), batches["data_batch_1"][0][0, 2048:]
            )
            np.testing.assert_array_equal(loaded.train["label"][-4:], batches["data_batch_5"][1])


class Malicious:
    def __reduce__(self):
        return (exec, ("open('executed', 'w')",))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_is_not_executed(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    raw = pickle.dumps({"data": Malicious(), "labels": [1]}, protocol)
    archive(tmp_path / "cifar-10-python.tar.gz", {"cifar-10-batches-py/data_batch_1": raw})
    with pytest.raises(UserError, match="cifar-10-python.tar.gz: not a readable archive .*exec, which no array needs"):
        data.load("cifar-10-python.tar.gz")
    assert not (tmp_path / "executed").exists()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves tmp_path/served as a mirror -> its address."""
    (tmp_path / "served").mkdir()
    serve = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=serve.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{serve.server_port}"
    monkeypatch.setenv("JAXGEN_MIRROR", address)
    yield address
    serve.shutdown()
    thread.join()
    serve.server_close()


def hashed(monkeypatch, name, folder):
    """The table's hashes become those of our own files."""
    host, below, files = fetching.FILES[name]
    sums = {file: md5((folder / below / file).read_bytes()).hexdigest() for file in files}
    monkeypatch.setitem(fetching.FILES, name, (host, below, sums))


def test_what_is_not_there_is_fetched_once(tmp_path, server, monkeypatch, capsys):
    images, _ = idx(tmp_path / "served" / "fashion_mnist")
    binary(tmp_path / "served", cifar_batches())
    for name in ("fashion_mnist", "cifar10"):
        hashed(monkeypatch, name, tmp_path / "served")
        loaded = data.load(name)
        told = capsys.readouterr().err.splitlines()
        assert [line.split()[0] for line in told] == ["fetching"] * (4 if name == "fashion_mnist" else 1)
        monkeypatch.setenv("JAXGEN_MIRROR", "http://127.0.0.1:9")
        again = data.load(name)
        np.testing.assert_array_equal(loaded.train["image"], again.train["image"])
        monkeypatch.setenv("JAXGEN_MIRROR", server + "/")
    np.testing.assert_array_equal(data.load("fashion_mnist").train["image"][..., 0], images)


def test_a_terminal_sees_how_far_it_is(tmp_path, server, monkeypatch, capsys):
    binary(tmp_path / "served", cifar_batches())
    hashed(monkeypatch, "cifar10", tmp_path / "served")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    data.load("cifar10")
    assert "100%" in capsys.readouterr().err
    for drawing in (thread for thread in threading.enumerate() if "Refresh" in str(type(thread))):
        drawing.join(5)  # rich tells it to stop and does not wait
        assert not drawing.is_alive()


def test_a_file_of_another_hash_is_not_kept(tmp_path, server, capsys):
    binary(tmp_path / "served", cifar_batches())
    cache = tmp_path / "cache" / "jaxgen"
    with pytest.raises(UserError) as error:
        data.load("cifar10")
    file = "cifar-10-binary.tar.gz"
    assert str(error.value) == (
        f"{server}/{file}: cannot be fetched (its hash is not the known one). Put {file} into {cache} by hand."
    )
    assert not list(cache.iterdir())


def test_what_cannot_be_fetched_is_one_line(tmp_path, server, monkeypatch):
    cache = tmp_path / "cache" / "jaxgen" / "mnist"
    with pytest.raises(UserError, match=r"/mnist/train-images-idx3-ubyte.gz: cannot be fetched \(404 File not found\)"):
        data.load("mnist")
    assert not list(cache.iterdir())
    monkeypatch.setenv("JAXGEN_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"\(no connection\). Put train-images-idx3-ubyte.gz into .*mnist by hand."):
        data.load("mnist")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="file/jaxgen/mnist: cannot be written"):
        data.load("mnist")


def test_the_hosts_and_hashes_are_those_of_torchvision():
    from torch_ref.vision import torchvision

    torchvision()
    from torchvision import datasets

    for name, there in (("mnist", datasets.MNIST), ("fashion_mnist", datasets.FashionMNIST)):
        host, _, files = fetching.FILES[name]
        assert host in there.mirrors and files == dict(there.resources)
    assert builtin.FASHION == tuple(datasets.FashionMNIST.classes)


def test_leaves_of_a_users_own_are_kept(tmp_path):
    images, labels = digits_like(30, 4)
    angle = np.linspace(0, 1, 60).reshape(30, 2)
    np.savez(tmp_path / "own.npz", image=images, label=labels, angle=angle, classes=np.array(["a"]), n=np.arange(7))
    loaded = data.load(str(tmp_path / "own.npz"))
    assert sorted(loaded.train.keys()) == ["angle", "image", "label"] and len(loaded.test) == 3
    assert loaded.flips and loaded.classes == tuple(str(i) for i in range(labels.max() + 1))
    inputs = IMAGE | {"angle": Input((2, 2))}
    batch = data.scale(data.fit(loaded.test, inputs).take(np.arange(3)), inputs)
    assert batch.keys() == inputs.keys() and batch["angle"].dtype == np.float32
    assert (batch["angle"] == angle.astype(np.float32)[[x in images_of(loaded.test) for x in rows_of(images)]]).all()
    with pytest.raises(UserError, match=r"own.npz: angle: expected rows of shape \(3,\), got \(2,\)"):
        data.fit(loaded.train, IMAGE | {"angle": Input((2, 3))})


def images_of(source):
    return set(rows_of(source["image"]))


def rows_of(images):
    return [x.tobytes() for x in images]


def test_float_images_are_fractions(tmp_path):
    images = np.random.default_rng(0).random((20, 4, 4, 1))
    np.savez(tmp_path / "own.npz", image=images)
    source = data.fit(data.load(str(tmp_path / "own.npz")).train, {"image": Input((2, 4, 4, 3), low=-1.0)})
    assert source["image"].dtype == np.float32 and source["image"].shape == (18, 4, 4, 3)
    batch = data.scale(source.whole(), {"image": Input((2, 4, 4, 3), low=-1.0)})
    np.testing.assert_allclose(batch["image"], 2 * source["image"] - 1, atol=1e-6)


def holed(value):
    images = np.full((20, 4, 4), 0.5)
    images[3, 1, 2] = images[4, 0, 0] = value
    return images


COLOUR = np.zeros((20, 4, 4, 3), np.uint8)
BAD = [
    (holed(np.nan), {}, "own.npz: image has 2 values that are not finite, the first at [3, 1, 2]."),
    (holed(np.inf), {}, "own.npz: image has 2 values that are not finite, the first at [3, 1, 2]."),
    (holed(255.0), {}, "own.npz: expected uint8 0..255 or float 0..1, got float64 0.5 to 255."),
    (holed(7).astype(int), {}, "own.npz: expected uint8 0..255 or float 0..1, got int64 0 to 7."),
    (holed(-0.5), {}, "own.npz: expected uint8 0..255 or float 0..1, got float64 -0.5 to 0.5."),
    (holed(1) > 0, {}, "own.npz: expected uint8 0..255 or float 0..1, got bool."),
    (holed(1)[:, 0], {}, "own.npz: expected images uint8 (N, H, W[, C]), got float64 (20, 4)."),
    (COLOUR[..., :2], {}, "own.npz: expected 1 or 3 channels on the last axis, got (20, 4, 4, 2)."),
    (
        COLOUR,
        {},
        "own.npz: expected gray (L), got colour (RGB). Add --convert, or choose the family's --channels 3.",
    ),
    (
        np.zeros((20, 30, 40), np.uint8),
        {},
        "own.npz: expected 4 x 4 pixels, got 40 x 30. Add --resize crop (or stretch).",
    ),
    (
        np.zeros((20, 8, 8), np.uint8),
        {},
        "own.npz: expected 4 x 4 pixels, got 8 x 8. Add --resize crop (or stretch), or choose the family's --size 8.",
    ),
    (
        np.zeros((20, 8, 8)),
        {"resize": "crop"},
        "own.npz: expected 4 x 4 pixels, got 8 x 8. Only uint8 images are resized: save them so, or choose the "
        "family's --size 8.",
    ),
    (
        np.zeros((20, 4, 4, 3)),
        {"convert": True},
        "own.npz: expected gray (L), got colour (RGB). Only uint8 images are converted: save them so, or choose the "
        "family's --channels 3.",
    ),
]


@pytest.mark.parametrize("images, options, message", BAD, ids=[message[9:60] for _, _, message in BAD])
def test_images_that_do_not_fit_are_one_line(tmp_path, monkeypatch, images, options, message):
    monkeypatch.chdir(tmp_path)
    np.savez("own.npz", image=images)
    with pytest.raises(UserError) as error:
        data.fit(data.load("own.npz").train, IMAGE, **options)
    assert str(error.value) == message


def test_a_users_own_images_are_resized_and_converted_when_asked(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 8, 3), np.uint8)
    np.savez(tmp_path / "own.npz", image=images)
    source = data.load(str(tmp_path / "own.npz")).train
    fitted = data.fit(source, IMAGE, resize="stretch", convert=True)
    want = np.asarray(Image.fromarray(source["image"][0]).convert("L").resize((4, 4), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(fitted["image"][0, ..., 0], want)
    cropped = data.fit(source, {"image": Input((2, 6, 6, 3))}, resize="crop")
    np.testing.assert_array_equal(cropped["image"], source["image"][:, :, 1:7])


NAMES = [
    ("minst", "unknown data 'minst'. Did you mean mnist?"),
    ("cifar", "unknown data 'cifar'. Did you mean cifar10?"),
    ("Fashion-MNIST", "unknown data 'Fashion-MNIST'. Did you mean fashion_mnist?"),
    (
        "celeba",
        "unknown data 'celeba': expected digits, mnist, fashion_mnist, cifar10, a FOLDER of images or a FILE.npz.",
    ),
    ("pets/cats", "pets/cats: no such file or folder."),
    ("none.npz", "none.npz: no such file."),
    (
        "notes.txt",
        "notes.txt: not a kind of data known here. Expected a FOLDER of images, a FILE.npz, "
        "train-images-idx3-ubyte[.gz] or cifar-10-binary.tar.gz or cifar-10-python.tar.gz.",
    ),
    ("text.npz", "text.npz: not a readable npz file ("),
    ("keys.npz", "keys.npz: expected arrays x_train, y_train, x_test, y_test, or image; got ['a']."),
    ("labels.npz", "labels.npz: expected 3 whole labels, got int64 (2,)."),
    ("idx/train-images-idx3-ubyte", "expected an IDX file of bytes, which begins 00 00 08, got 6e 6f 20."),
    ("some/train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte: no such file."),
    ("cut/train-images-idx3-ubyte.gz", "train-images-idx3-ubyte.gz: not a readable IDX file ("),
    ("cifar-10-binary.tar.gz", "cifar-10-binary.tar.gz: expected data_batch_1, data_batch_2"),
    ("odd/cifar-10-binary.tar.gz", "odd/cifar-10-binary.tar.gz: not a readable archive ("),
    ("bad/cifar-10-python.tar.gz", "bad/cifar-10-python.tar.gz: not a readable archive ("),
]


@pytest.mark.parametrize("name, message", NAMES, ids=[name for name, _ in NAMES])
def test_names_and_files_that_cannot_be_read_are_one_line(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    for path in ("notes.txt", "text.npz", "idx/train-images-idx3-ubyte", "bad/cifar-10-python.tar.gz"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("no archive")
    np.savez("keys.npz", a=np.zeros(3))
    np.savez("labels.npz", image=np.zeros((3, 8, 8), np.uint8), label=np.zeros(2, int))
    idx(tmp_path / "some")
    (tmp_path / "some" / "train-labels-idx1-ubyte.gz").unlink()
    idx(tmp_path / "cut")
    whole = tmp_path / "cut" / "train-images-idx3-ubyte.gz"
    whole.write_bytes(whole.read_bytes()[:5000])
    archive(tmp_path / "cifar-10-binary.tar.gz", {"cifar-10-batches-bin/test_batch.bin": bytes(3073)})
    archive(tmp_path / "odd" / "cifar-10-binary.tar.gz", {"cifar-10-batches-bin/test_batch.bin": bytes(3072)})
    with pytest.raises(UserError) as error:
        data.load(name)
    assert message in str(error.value) and "\n" not in str(error.value)


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("jaxgen")]


def test_ahead_is_what_take_gives():
    source = data.Arrays({"image": np.arange(60, dtype=np.uint8).reshape(15, 2, 2, 1)})
    plan = [np.array([[1, 2], [3, 1]]), np.array([[14, 0], [0, 0]]), np.array([[5, 6], [7, 8]])]
    made = list(data.ahead(source.take, plan))
    assert [x["image"].shape for x in made] == [(2, 2, 2, 2, 1)] * 3
    for x, rows in zip(made, plan, strict=True):
        np.testing.assert_array_equal(x["image"], source["image"][rows])
    assert not threads() and list(data.ahead(source.take, [])) == []


def test_ahead_is_only_so_far_ahead_and_ends_when_told():
    """A plan without end; the work is done in another thread."""
    begun = []

    def take(i):
        begun.append(i)
        assert threading.current_thread() is not threading.main_thread()
        return i

    stream = data.ahead(take, iter(range(10**9)), 3)
    assert [next(stream) for _ in range(5)] == list(range(5))
    time.sleep(0.05)
    assert len(begun) <= 5 + 3 and threads()
    stream.close()
    assert not threads()
    ran = []
    stream = data.ahead(lambda i: time.sleep(0.02) or ran.append(i), range(10**9), 50)
    next(stream)
    stream.close()  # waits for what has begun, not for all that was planned
    assert len(ran) < 10


def test_what_take_raises_is_raised_by_ahead():
    def take(i):
        if i == 2:
            raise UserError("b.png: cannot be read.")
        return i

    stream = data.ahead(take, range(10))
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(UserError, match="b.png"):
        next(stream)
    assert not threads()
    with pytest.raises(ZeroDivisionError):
        for i in data.ahead(lambda i: i, range(10)):
            1 // (i - 1)
    assert not threads()


def test_a_look_at_a_set(tmp_path, capsys):
    """A row a class, ten classes of twelve pixels."""
    look.data("digits", out=str(tmp_path / "new" / "look.png"))
    told = capsys.readouterr().out
    assert "train      1,618 images" in told and "12 x 12 pixels, gray, uint8, 0 to 255" in told
    assert ["9", "163", "17"] in [line.split() for line in told.splitlines()]
    picture = np.asarray(Image.open(tmp_path / "new" / "look.png"))
    times = 800 // (10 * 14 + 2)
    assert picture.shape == ((10 * 14 + 2) * times,) * 2
    digits = data.load("digits").train
    three = digits["image"][digits["label"] == 3][1, ..., 0]
    y, x = 3 * 14 + 2, 14 + 2
    np.testing.assert_array_equal(picture[::times, ::times][y : y + 12, x : x + 12], three)
    np.savez(tmp_path / "own.npz", image=np.random.default_rng(0).random((30, 4, 4)))
    look.data(str(tmp_path / "own.npz"), out=str(tmp_path / "own.png"), count=5)
    told = capsys.readouterr().out
    assert "4 x 4 pixels, gray, float32" in told and "classes    none" in told
    with pytest.raises(UserError, match="look.jpg: expected FILE.png"):
        look.data("digits", out="look.jpg")
