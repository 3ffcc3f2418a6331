"""What samples are made of: the folder of a run, or files of weights, ours or from elsewhere."""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Var

from jaxgen import find, settings, snapshots, weights
from jaxgen.errors import UserError, one_of
from jaxgen.functional import Functional
from jaxgen.run import Run
from jaxgen.setup import build

Weights = Literal["averaged", "raw", "best"]


class Source(NamedTuple):
    """A family and the weights of its nets."""

    family: Functional
    params: dict[str, Any]
    stats: dict[str, Any]


def opened(
    source: str | Path, which: Weights, family: str | None, arguments: dict[str, Any], width: float | None = None
) -> Source:
    """`source` is the folder of a run, FILE, NET=FILE, or several of these joined by commas."""
    one_of("weights", which, Weights)
    if width is not None and (which != "averaged" or is_files(source)):
        raise UserError(f"ema_width {width}: is of an average that a run has stored; {source}, {which}, is none.")
    if is_files(source):
        if which == "best":
            raise UserError(f"{source}: a file is neither best nor last. Give the folder of a run, or no --weights.")
        return of_files(files(source), family, arguments)
    folder = Run(source)
    said = {"family": folder.config["family"], "arguments": folder.arguments}
    name, merged = settled(source, said, family, arguments)
    return Source(build(name, merged) if arguments else folder.family, *nets(folder, which, width))


def nets(run, which, width):
    """-> params, stats."""
    if width is not None:
        return snapshots.read(run, width)
    return run.best_weights() if which == "best" else run.load_weights(which == "averaged")


def family_of_run(arguments):
    """The class of the run that is one of these words of a command line, if there is one."""
    found = next((word for word in arguments if Path(word, "config.json").is_file()), None)
    try:
        return found and find.family(Run(found).config["family"])
    except UserError:
        return None  # said when the run is opened


def is_files(source):
    path, named = Path(source), any(net for net, _ in files(source))
    return not path.is_dir() and (named or path.is_file() or path.suffix in (".safetensors", ".pt", ".pth"))


def files(source):
    """-> [(net, or "" where it is not said, file)]."""
    if Path(source).is_file():
        return [("", Path(source))]
    pairs = [(part, *part.partition("=")) for part in str(source).split(",")]
    return [(net, Path(file)) if net.isidentifier() and file else ("", Path(part)) for part, net, _, file in pairs]


def folder(source: str | Path) -> Path:
    """Where samples of `source` go when nobody says: samples/ of a run, or beside the first file."""
    return files(source)[0][1].parent if is_files(source) else Path(source, "samples")


def of_files(pairs, family, arguments):
    read = [(net, file, weights.read(file)) for net, file in pairs]
    family, arguments = agreed([file for _, file in pairs], family, arguments)
    built = build(family, arguments)
    # NaN: what is not given must not pass for weights
    empty = lambda x: np.full(x.shape, np.nan if jnp.issubdtype(x.dtype, jnp.floating) else 0, x.dtype)
    params, stats = jax.tree.map(empty, jax.eval_shape(built.init, jax.random.key(0)))
    given = assigned(built, params, stats, read)
    if absent := sorted(looked_at(built) - given.keys()):
        more = ",".join(f"{net}=FILE" for net in absent)
        raise UserError(f"the sample of {find.label(family)} needs the net {', '.join(absent)} too: give {more}.")
    params |= {net: p for net, (p, _) in given.items() if p}
    stats |= {net: s for net, (_, s) in given.items() if s}
    return Source(built, params, stats)


def agreed(paths, family, arguments):
    """-> family, arguments: what the files say and what the caller says must not contradict each other."""
    asked = family
    for path in paths:
        if said := told(path):
            family, arguments = settled(path, said, family, arguments)
    if family is None:
        raise UserError(f"{paths[0]}: does not say its family. Give --family NAME, and its arguments as options.")
    if asked is None and find.is_path(family):  # weights are data: they do not say which file is to be executed
        raise UserError(f"{paths[0]}: of the family {family}. Give --family {family} if that file is to be run.")
    check(find.family(family), arguments)
    return family, arguments


def told(path):
    """{"family", "arguments"} of a file that we wrote, {} of others."""
    about = weights.metadata(path).get("jaxgen", "{}") if path.suffix == ".safetensors" else "{}"
    try:
        said = json.loads(about)
        return {key: said[key] for key in ("family", "arguments")} if said else {}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: its metadata `jaxgen` is not readable. Save the weights again.") from error


def settled(path, said, family, arguments):
    """-> family, arguments: those that `said` names, and those given where it is silent."""
    if family is not None and find.label(family) != find.label(said["family"]):
        raise UserError(f"{path}: expected weights of {find.label(family)}, got {find.label(said['family'])}.")
    cls, known = find.family(family or said["family"]), said["arguments"]
    check(cls, arguments)
    plain = lambda x: list(x) if isinstance(x, tuple) else x
    fixed = known.keys() - set(getattr(cls, "sampling", ()))  # the same weights may be sampled in many ways
    for name, value in arguments.items():
        if name in fixed and plain(known[name]) != plain(value):
            raise UserError(f"{path}: made with {name} {known[name]}, got {name} {value}. Leave the option out.")
    return family or said["family"], {**known, **arguments}


def check(cls, arguments):
    """Every argument is one of the family's constructor."""
    known = [name for name in settings.signature(cls.__init__) if name != "self"]
    for name in arguments:
        if name not in known:
            raise UserError(f"unknown option {name!r}. {settings.nearest(name, known)}")


def assigned(family, params, stats, read):
    """{net: (params, stats)} of the files that were read."""
    given: dict[str, Any] = {}
    for net, file, arrays in read:
        load = lambda net, file=file, arrays=arrays: weights.from_state_dict(
            params.get(net, {}), stats.get(net, {}), arrays, family.aliases(net), file
        )
        net = owner(net, file, load, sorted(params | stats))
        if net in given:
            raise UserError(f"{file}: the net {net} is given twice.")
        given[net] = load(net)
    return given


def owner(net, file, load, nets):
    """The net of a file: the one that is named, else that of the file's name, else the only one that it fits."""
    if net and net not in nets:
        raise UserError(f"{file}: unknown net {net!r}. There are {', '.join(nets)}.")
    stem = file.name.partition(".")[0]
    if found := net or (stem if stem in nets else "") or (nets[0] if len(nets) == 1 else ""):
        return found
    fitting = [net for net in nets if fits(load, net)]
    if len(fitting) != 1:
        which = f"fits {' and '.join(fitting)}" if fitting else "fits none of the nets as they are built here"
        raise UserError(f"{file}: {which}. Say which net it is: {nets[0]}={file}, one of {', '.join(nets)}.")
    return fitting[0]


def fits(load, net):
    try:
        load(net)
    except UserError:
        return False
    return True


def looked_at(family):
    """The nets that a sample depends on, found by reading its program backwards, without computing anything."""
    nets = jax.eval_shape(family.init, jax.random.key(0))
    draws = jax.eval_shape(lambda: family.draw_sample(jax.random.key(0), 2))
    program = jax.make_jaxpr(family.sample)(*nets, draws).jaxpr
    live = set(program.outvars)
    for line in reversed(program.eqns):
        if live.intersection(line.outvars):
            live.update(x for x in line.invars if isinstance(x, Var))
    paths = [path for path, _ in jax.tree.leaves_with_path(nets)]
    return {path[1].key for path, x in zip(paths, program.invars, strict=False) if x in live}
