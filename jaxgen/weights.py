"""A net's parameters and statistics are a state_dict: one safetensors file a net, without prefix, read and written
strictly, the same file for PyTorch."""

from difflib import get_close_matches
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from jaxgen.errors import UserError, needs


def to_state_dict(params, stats):
    """Trees of one net -> {"main.0.weight": array}, with torch's int64 for our int32."""
    flat = flatten_dict(params, sep=".") | flatten_dict(stats, sep=".")
    return {key: np.asarray(x, np.int64 if x.dtype == jnp.int32 else x.dtype) for key, x in flat.items()}


def from_state_dict(params, stats, state_dict, aliases=None, name="weights"):
    """The values of `state_dict` as trees like `params` and `stats`: keys, shapes and dtypes must agree.

    `aliases` are other names for the same tensors: {"model.": "main."} for a prefix, {"head.weight": "wte.weight"} for
    a tied tensor, which a file may hold under either name, or under both with equal values."""
    want = to_state_dict(params, stats)
    have = renamed(state_dict, aliases or {}, name)
    missing, unexpected = sorted(want.keys() - have.keys()), sorted(have.keys() - want.keys())
    if missing or unexpected:
        raise UserError(f"{name}: {'; '.join(strangers(missing, unexpected))}. Give the weights of this very net.")
    kind = lambda x: f"{x.dtype.name}{tuple(x.shape)}"
    wrong = [
        f"{key}: expected {kind(want[key])}, got {kind(have[key])}"
        for key in want
        if kind(have[key]) != kind(want[key])
    ]
    if wrong:
        told = "; ".join([*wrong[:3], *([f"and {len(wrong) - 3} more"] if len(wrong) > 3 else [])])
        raise UserError(f"{name}: {told}. Give the weights of a net built with the same arguments.")
    take = lambda tree: {key: jnp.asarray(have[key], x.dtype) for key, x in flatten_dict(tree, sep=".").items()}
    return tuple(unflatten_dict(take(tree), sep=".") for tree in (params, stats))


def renamed(state_dict, aliases, name):
    """`state_dict` under the names of the net; what stands under two names must be one and the same."""
    have = {}
    for key, value in state_dict.items():
        for alias, own in aliases.items():
            key = own + key.removeprefix(alias) if alias.endswith(".") and key.startswith(alias) else key
        own = aliases.get(key, key)
        if own in have and not np.array_equal(have[own], value):
            raise UserError(f"{name}: {key} and {own} are one tensor, but their values differ.")
        have[own] = value
    return have


def strangers(missing, unexpected):
    """Each key that has no partner, with the nearest name on the other side."""
    for what, keys, others in (("missing", missing, unexpected), ("unexpected", unexpected, missing)):
        near = {key: get_close_matches(key, others, 1, 0.5) for key in keys}
        if keys:
            yield f"{what} " + ", ".join(key + (f" (nearest: {near[key][0]})" if near[key] else "") for key in keys)


def write(path, arrays, metadata=None):
    """safetensors silently stores wrong values for strided arrays, so all are made C-contiguous, here and only here.
    The old file stays until the new one is whole."""
    part = Path(path).with_suffix(".part")
    save_file({key: np.asarray(x, order="C") for key, x in arrays.items()}, part, metadata)
    part.replace(path)


def read(path):
    """{key: array} of a .safetensors file, or of a .pt file, of which nothing but tensors is ever loaded."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file of weights.")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise UserError(f"{path}: not a readable safetensors file ({error}). Copy it again.") from error
    if path.suffix in (".pt", ".pth"):
        return read_pt(path)
    raise UserError(f"{path}: expected a .safetensors, .pt or .pth file.")


def read_pt(path):
    torch = needs("torch", "verify")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds for a file that is damaged, or holds more than tensors
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a plain state_dict ({reason}). Save model.state_dict() again.") from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise UserError(f"{path}: expected a state_dict, {{name: tensor}}. Save model.state_dict() again.")
    if odd := [key for key, value in loaded.items() if value.dtype is torch.bfloat16]:
        raise UserError(f"{path}: {odd[0]} is bfloat16, which NumPy has not. Save model.float().state_dict().")
    return {key: value.detach().numpy() for key, value in loaded.items()}


def metadata(path):
    """What was written about a .safetensors file, {} if nothing."""
    with safe_open(path, "numpy") as file:
        return file.metadata() or {}


def save(folder, params, stats, suffix="", metadata=None):
    """Every net as folder/net.safetensors (folder/net.ema.safetensors with the suffix ".ema")."""
    for net in params | stats:
        arrays = to_state_dict(params.get(net, {}), stats.get(net, {}))
        write(Path(folder, f"{net}{suffix}.safetensors"), arrays, metadata)


def load(folder, params, stats, suffix="", aliases=lambda net: {}):
    """-> params, stats, like those given."""

    def one(net):
        path = Path(folder, f"{net}{suffix}.safetensors")
        return from_state_dict(params.get(net, {}), stats.get(net, {}), read(path), aliases(net), path)

    nets = {net: one(net) for net in params | stats}
    return {net: p for net, (p, _) in nets.items() if p}, {net: s for net, (_, s) in nets.items() if s}
