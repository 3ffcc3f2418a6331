"""What a run begins with: initial weights, or those of files."""

import hashlib

import jax
import jax.numpy as jnp

from jaxgen import weights
from jaxgen.errors import UserError


def state(setup):
    """Initial weights; nets that `--init` names have those of their file, and so have their averages."""
    made = jax.jit(setup.fresh)(setup.root)
    for net, path in files(setup).items():
        params, stats = made.params[net], made.stats.get(net, {})
        params, stats = weights.from_state_dict(params, stats, weights.read(path), setup.family.aliases(net), path)
        made = made.having(params={net: params}, stats={net: stats} if stats else {})
    ema = jax.tree.map(jnp.copy, {"params": made.params, "stats": made.stats}) if made.ema else {}
    return made.replace(ema=ema)


def files(setup):
    """{net: file} of --init NET=FILE; the net need not be named where there is one."""
    nets = sorted(jax.eval_shape(setup.family.init, setup.root)[0])
    return dict(named(spec, nets) for spec in setup.options["init"])


def named(spec, nets):
    net, given, path = spec.partition("=")
    if given and net not in nets:
        raise UserError(f"init: unknown net {net!r} in {spec}. There is {', '.join(nets)}.")
    if not given and len(nets) > 1:
        raise UserError(f"init: expected NET=FILE, NET being one of {', '.join(nets)}; got {spec}.")
    return (net, path) if given else (nets[0], spec)


def digests(setup):
    """{net: sha256 of its file}, so that a run can be made again."""
    told = {}
    for net, path in files(setup).items():
        weights.read(path)  # a file that is none is named before anything is written
        with open(path, "rb") as file:
            told[net] = hashlib.file_digest(file, "sha256").hexdigest()
    return told
