"""What a run begins with: initial weights, or those of files."""

import hashlib

import jax
import jax.numpy as jnp

from jaxgen import core, parallel, weights
from jaxgen.errors import UserError


def state(setup):
    """Initial weights; nets that `--init` names have those of their file. So have their averages, and their optimisers,
    some of which keep a copy."""
    made = parallel.once(setup.fresh)(setup.root)
    if not setup.options["init"]:
        return made
    for net, path in files(setup).items():
        params, stats = made.params[net], made.stats.get(net, {})
        params, stats = weights.from_state_dict(params, stats, weights.read(path), setup.family.aliases(net), path)
        made = made.having(params={net: params}, stats={net: stats} if stats else {})
    ema = jax.tree.map(jnp.copy, {"params": made.params, "stats": made.stats}) if made.ema else {}
    trained = {name: core.pick(made.params, player.trains) for name, player in setup.family.players.items()}
    return made.replace(ema=ema, opt={name: setup.txs[name].init(trained[name]) for name in trained})


def files(setup):
    """{net: file} of --init NET=FILE; the net need not be named where there is one."""
    nets = sorted(jax.eval_shape(setup.family.init, setup.root)[0])
    given = [named(spec, nets) for spec in setup.options["init"]]
    if len(dict(given)) < len(given):
        raise UserError(f"init: a net is given twice in {' '.join(setup.options['init'])}.")
    return dict(given)


def named(spec, nets):
    net, _, path = spec.partition("=")
    if not net.isidentifier() or not path:  # a path may hold the sign too
        net, path = "", spec
    if net and net not in nets:
        raise UserError(f"init: unknown net {net!r} in {spec}. There is {', '.join(nets)}.")
    if not net and len(nets) > 1:
        raise UserError(f"init: expected NET=FILE, NET being one of {', '.join(nets)}; got {spec}.")
    return net or nets[0], path


def digests(setup):
    """{net: sha256 of its file}, so that a run can be made again."""
    told = {}
    for net, path in files(setup).items():
        weights.read(path)  # a file that is none is named before anything is written
        with open(path, "rb") as file:
            told[net] = hashlib.file_digest(file, "sha256").hexdigest()
    return told
