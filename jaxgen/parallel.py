"""Ways to run one pure `fn(state, batch, rest) -> (state, metrics)`. The batch is the global batch in all of them;
`rest` (the root key, and whatever else every device needs whole) is never split. They compose: `sharded(many(step),
axis=1)`, where `axis` is the position of the batch's rows (0, and 1 around `many`)."""

from functools import cache

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxgen.axis import NAME
from jaxgen.errors import UserError

# jaxlib sends convolutions to YNNPACK by default, which runs those with few channels on one core (docs/decisions.md)
FASTER = {"cpu": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}}


RUNS = "run"  # the axis of independent runs
# with it a GPU gives the same bits again, some kernels more slowly
DETERMINISTIC = {"gpu": {"xla_gpu_deterministic_ops": True}}


@cache
def options(deterministic=False):
    """What the compiler of this backend is told, where it knows the option."""
    backend = jax.default_backend()
    wanted = FASTER.get(backend, {}) | (DETERMINISTIC.get(backend, {}) if deterministic else {})
    try:
        jax.jit(lambda x: x, compiler_options=wanted).lower(0.0).compile()
    except (RuntimeError, ValueError) as error:  # "No such compile option": another jaxlib
        if deterministic:
            raise UserError(f"deterministic: this jaxlib cannot promise it ({error}).") from error
        return None
    return wanted


def jit(fn, *, deterministic=False, **kwargs):
    """The outermost jit of all, which donates the state: it alone may carry a backend's compiler options."""
    return jax.jit(fn, donate_argnums=0, compiler_options=options(deterministic), **kwargs)


def once(fn):
    """A jit for what runs once. A CPU's compiler takes half or a quarter of the time with it, for the same bits."""
    hurried = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
    return jax.jit(fn, compiler_options=hurried)


def placed(*spec):
    """Over all devices: on each of them whole, or split along the axis that is named."""
    mesh = jax.make_mesh((jax.device_count(),), (NAME,), axis_types=(AxisType.Auto,))
    return NamedSharding(mesh, PartitionSpec(*spec))


def sharded(fn, axis=0, **kwargs):
    """Data parallel through the compiler: the batch split over all devices, the state on every device."""
    copy, split = placed(), placed(*[None] * axis, NAME)
    return jit(fn, in_shardings=(copy, split, copy), out_shardings=copy, **kwargs)


def replicated(tree):
    """`tree` on every device, so that no call has to send it again."""
    return jax.device_put(tree, placed())


def pmap(fn, axis=0, deterministic=False):
    """Data parallel by hand, for those who ask: `fn` finds the axis bound; the state is not stacked."""
    if deterministic:
        raise UserError("deterministic: pmap takes no options of the compiler. Use --parallel sharded.")
    split = lambda x: x.reshape(*x.shape[:axis], jax.device_count(), -1, *x.shape[axis + 1 :])
    run = jax.pmap(fn, axis_name=NAME, in_axes=(None, axis, None), out_axes=None, donate_argnums=0)
    return lambda state, batch, rest: run(state, jax.tree.map(split, batch), rest)


def run(way, fn, axis=0, **kwargs):
    """`fn` compiled in the way of that name."""
    return jit(fn, **kwargs) if way == "jit" else {"sharded": sharded, "pmap": pmap}[way](fn, axis, **kwargs)


def upto(fn, block=1):
    """As many steps as the call says: `batches` may be longer, `rest` is (how many, what `fn` is given). The compiler
    never learns the number, so there is one program, and with `block` 1 the bits do not depend on how a run is cut into
    calls. The metrics keep the length of `batches`; those of steps that were not made are zero.

    Before each turn of such a loop a GPU's host asks the device whether to go on: so many steps make one turn."""

    fn = jax.jit(fn, inline=True)  # traced once, though it is asked for its shapes first

    def run(state, batches, rest):
        count, rest = rest
        at = lambda i: jax.tree.map(lambda x: x[i], batches)
        length = len(jax.tree.leaves(batches)[0])
        told = jax.tree.map(lambda x: jnp.zeros((length, *x.shape), x.dtype), jax.eval_shape(fn, state, at(0), rest)[1])

        def body(i, carry):
            state, told = carry
            state, metrics = fn(state, at(i), rest)
            return state, jax.tree.map(lambda all, one: all.at[i].set(one), told, metrics)

        def turn(i, carry):
            return jax.lax.fori_loop(0, block, lambda k, carry: body(i * block + k, carry), carry)

        carry, made = (state, told), 0
        if block > 1:
            carry, made = jax.lax.fori_loop(0, count // block, turn, carry), count // block * block
        return jax.lax.fori_loop(made, count, body, carry)

    return run


def block(deterministic=False):
    """Steps of a turn of `upto`. Where a run is to give the same bits wherever it is cut, all steps are one program."""
    return 32 if jax.default_backend() == "gpu" and not deterministic else 1


def many(fn):
    """Several steps in one call: the batches, and the metrics, carry a leading time axis."""
    return lambda state, batches, rest: jax.lax.scan(lambda state, batch: fn(state, batch, rest), state, batches)


def seeds(fn):
    """Several independent runs in one call: state and rest carry a leading run axis, the batch is shared."""
    return jax.vmap(fn, in_axes=(0, None, 0))


def side_by_side(fn, axes, devices, **kwargs):
    """Several independent runs in one call, whole runs on each of so many devices, which never speak to each other.
    `axes` are those of `vmap`: 0 where an argument has a run axis, None where all runs see the same."""
    run = jax.vmap(fn, in_axes=axes)
    if devices > 1:  # by hand: the compiler alone splits a grouped convolution, which several runs' are, in its own way
        spec = jax.tree.map(lambda axis: along_runs(axis is not None), axes, is_leaf=lambda axis: axis is None)
        run = jax.shard_map(run, mesh=run_mesh(devices), in_specs=spec, out_specs=along_runs(), check_vma=False)
    return jit(run, **kwargs)


def along_runs(split=True):
    return PartitionSpec(RUNS) if split else PartitionSpec()


def run_mesh(devices):
    """Its axis has another name than `axis.NAME`, under which a step would look for shares of its batch."""
    return jax.make_mesh((devices,), (RUNS,), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])


def spread(tree, devices, split=True):
    """On those devices: split along the run axis, or whole on each."""
    if devices == 1:  # a mesh of one is another place to the compiler than what a program on one device gives back
        return jax.device_put(tree)
    return jax.device_put(tree, NamedSharding(run_mesh(devices), along_runs(split)))
