"""The folder of a bundle: safetensors files, and a manifest that says what each tensor is and vouches for its bytes."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict, unflatten_dict

from jaxgen import weights
from jaxgen.errors import UserError, writing
from jaxgen.parity import pairs
from jaxgen.parity.compare import FORWARD, UPDATE

FORMAT, MANIFEST, INSIDE = "jaxgen bundle 1", "manifest.json", " > "
GATES = {"float64": FORWARD, "updates, in units of the learning rate": UPDATE, "learning rate": pairs.LR}


class Bundle(NamedTuple):
    """`told` is the manifest; `arrays` {file: {name: array, or a dict of such}}, in the order of writing."""

    folder: Path
    told: dict[str, Any]
    arrays: dict[str, dict]


def write(folder, told, files):
    """`files` is {name: (what it holds, {name: array, or a dict of such})}. The manifest comes last."""
    folder, listed = Path(folder), {}
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, (about, tree) in files.items():
        arrays, path = flatten_dict(tree, sep=INSIDE), folder / f"{name}.safetensors"
        with writing(path):
            weights.write(path, arrays)
        tensors = {key: f"{x.dtype} {list(x.shape)}" for key, x in arrays.items()}
        listed[path.name] = {"about": about, "sha256": digest(path.read_bytes()), "tensors": tensors}
    told = {"format": FORMAT, **told, "gates": GATES, "files": listed}
    with writing(folder / MANIFEST):
        (folder / MANIFEST).write_text(json.dumps({**told, "sha256": seal(told)}, indent=1) + "\n")


def read(folder) -> Bundle:
    """The bundle, if it is whole, unchanged, and of this format and these gates."""
    folder = Path(folder)
    told = manifest(folder)
    return Bundle(folder, told, {Path(name).stem: tensors(folder / name, x) for name, x in told["files"].items()})


def manifest(folder):
    path = folder / MANIFEST
    if not path.is_file():
        raise UserError(f"{folder}: no bundle here: there is no {MANIFEST}. `jaxgen parity freeze` writes one.")
    try:
        told = json.loads(path.read_text())
        form, sealed = told["format"], told.pop("sha256", None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not the manifest of a bundle. Copy it again.") from error
    if form != FORMAT:
        raise UserError(f"{path}: expected the format {FORMAT!r}, got {form!r}. Freeze the case anew.")
    if sealed != seal(told):
        raise UserError(f"{path}: changed since it was written (sha256). Copy it again, or freeze the case anew.")
    if told["gates"] != GATES:
        raise UserError(f"{path}: frozen with the gates {told['gates']}, here they are {GATES}. Freeze the case anew.")
    return told


def tensors(path, entry):
    if not path.is_file():
        raise UserError(f"{path}: missing, though the manifest lists it. Copy the whole folder again.")
    if digest(path.read_bytes()) != entry["sha256"]:
        raise UserError(f"{path}: changed since it was written (sha256). Copy it again, or freeze the case anew.")
    loaded = weights.read(path)  # in safetensors' order; ours is that of the calls, which tells what inherits an error
    return unflatten_dict({name: loaded[name] for name in entry["tensors"]}, sep=INSIDE)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def seal(told):
    return digest(json.dumps(told, sort_keys=True).encode())
