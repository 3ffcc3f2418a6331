"""Files that hold a whole set: npz, IDX (MNIST) and the archives of CIFAR-10. Each reader gives (train, test), dicts of
arrays; nothing is extracted and nothing in a file is executed."""

import gzip
import pickle
import tarfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jaxgen.data import checks
from jaxgen.data.sources import Arrays, Data, held_out
from jaxgen.errors import UserError

IDX = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
CIFAR10 = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz")
KERAS = {"x_train", "y_train", "x_test", "y_test"}


@contextmanager
def reading(path, kind):
    """What a damaged file raises, as one line."""
    if not path.is_file():
        raise UserError(f"{path}: no such file.")
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # a damaged archive raises many kinds
        cause = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable {kind} ({cause}). Fetch or save it again.") from error


def npz(path: Path) -> Data:
    """x_train, y_train, x_test, y_test as Keras names them; or `image` with any leaves of as many rows, of which a
    tenth is held out."""
    with reading(path, "npz file"), np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    if arrays.keys() >= KERAS:
        parts = ({"image": arrays[f"x_{part}"], "label": arrays[f"y_{part}"]} for part in ("train", "test"))
        train, test = (Arrays(checked(path, part), str(path), own=True) for part in parts)
        return Data(path.stem, train, test, where=str(path))
    if "image" not in arrays:
        raise UserError(f"{path}: expected arrays x_train, y_train, x_test, y_test, or image; got {sorted(arrays)}.")
    return held_out(path.stem, Arrays(checked(path, arrays), str(path), own=True), where=str(path))


def checked(path, arrays):
    """Images as (N, H, W, C), labels as int32, and the other leaves of numbers that have as many rows."""
    images = checks.images(path, arrays["image"])
    leaves = {"image": images}
    if "label" in arrays:
        leaves["label"] = checks.labels(path, arrays["label"], len(images))
    for key, x in arrays.items():
        if key not in leaves and x.shape[:1] == images.shape[:1] and x.dtype.kind in "biuf":
            checks.finite(path, key, x)
            leaves[key] = x
    return leaves


def idx(folder: Path):
    """The four files of MNIST or Fashion-MNIST, plain or .gz."""
    images, labels, test_images, test_labels = (idx_array(file, folder) for file in IDX)
    parts = (images, labels), (test_images, test_labels)
    return tuple(checked(folder, {"image": x[..., None], "label": y}) for x, y in parts)


def idx_array(name, folder):
    """Two zeros, the type (8: uint8), the number of axes, big-endian lengths, values."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), folder / name)
    with reading(path, "IDX file"), (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        raw = file.read()
        if raw[:3] != b"\0\0\x08":
            raise UserError(f"{path}: expected an IDX file of bytes, which begins 00 00 08, got {raw[:3].hex(' ')}.")
        shape = np.frombuffer(raw, ">i4", raw[3], 4)
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def cifar10(path: Path):
    """The binary archive, or the one for Python; members are read in place."""
    binary = path.name == CIFAR10[0]
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    found = {}
    with reading(path, "archive"), tarfile.open(path, "r:gz") as archive:
        for member in archive:
            name = Path(member.name).name.removesuffix(".bin") if binary else Path(member.name).name
            if name in names and member.isfile():
                found[name] = (records if binary else pickled)(archive.extractfile(member))
    if absent := [name for name in names if name not in found]:
        raise UserError(f"{path}: expected {', '.join(names)}; {', '.join(absent)} missing. Fetch it again.")
    train, test = ([found[name] for name in part] for part in (names[:5], names[5:]))
    return tuple(joined(path, part) for part in (train, test))


def joined(path, batches):
    values, labels = (np.concatenate(x) for x in zip(*batches, strict=True))
    images = values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return checked(path, {"image": np.ascontiguousarray(images), "label": labels})


def records(file):
    """One byte of label, 3072 of image, and again."""
    rows = np.frombuffer(file.read(), np.uint8).reshape(-1, 3073)
    return rows[:, 1:], rows[:, 0]


def pickled(file):
    batch = ArraysOnly(file, encoding="latin1").load()
    return np.asarray(batch["data"], np.uint8), np.asarray(batch["labels"], np.int64)


class ArraysOnly(pickle.Unpickler):
    """Lists, strings, numbers and NumPy's arrays; a file that names anything else is refused before it is called."""

    # the function by which arrays are rebuilt moved when NumPy became 2; an array tells where it is
    rebuild = np.empty(0).__reduce__()[0]
    allowed = {
        ("numpy.core.multiarray", "_reconstruct"): rebuild,
        ("numpy._core.multiarray", "_reconstruct"): rebuild,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module, name):
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return self.allowed[module, name]
