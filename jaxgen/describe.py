"""A run in words, before it begins: one line, and for `--dry-run` everything that was settled."""

import sys

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxgen import find, settings
from jaxgen.loop import SAVE
from jaxgen.run import provenance


def line(setup, folder, step):
    """What is trained, on how much, how long."""
    plan = setup.plan
    sizes = " + ".join(f"{n:,} ({net})" for net, n in parameters(setup.family).items())
    done = f", all done ({step:,} made)" if step >= plan.steps else f", from step {step:,}" if step else ""
    length = f"{plan.steps:,} steps of {plan.batch} rows{done}"
    where = "" if plan.way == "jit" else f", {plan.way} over {jax.device_count()} devices"
    return f"{folder.folder}: {sizes} parameters, {plan.length:,} images, {length}{where}"


def recipes(cls, recipe):
    """What the help says above the options."""
    listed = "".join(f"\n  {name}: {value.source}" for name, value in getattr(cls, "recipes", {}).items())
    return f"{sys.modules[cls.__module__].__doc__}\n\nRecipes (defaults below: {recipe or 'none'}):{listed}"


def parameters(family):
    """{net: how many parameters}."""
    shapes = jax.eval_shape(family.init, jax.random.key(0))[0]
    return {net: sum(x.size for x in jax.tree.leaves(tree)) for net, tree in shapes.items()}


def describe(setup, folder, loop):
    """Options with where each comes from, sizes, memory as the compiler counts it, and the length of an epoch."""
    console = Console(soft_wrap=True, highlight=False)
    console.print(line(setup, folder, 0), markup=False)
    for table in (configuration(setup, loop), sizes(setup)):
        console.print(table)


def plain(*columns):
    table = Table(box=None, pad_edge=False, show_header=False, title_justify="left")
    for style in columns:
        table.add_column(style=style)
    return table


def configuration(setup, loop):
    cls, values = find.family(setup.name), setup.options
    default = {name: p.default for name, p in settings.parameters(cls, loop).items()}
    recipe = settings.recipe(cls, values["recipe"])
    table = plain("bold", "", "dim")
    for key, value in values.items():
        sources = [("printed by " + values["recipe"], recipe.get("printed", {})) if recipe else ("", {})]
        sources += [("recipe " + values["recipe"], recipe.get("chosen", {}))] if recipe else []
        told = next((name for name, those in sources if key in those and same(those[key], value)), None)
        told = told or ("default" if same(default.get(key), value) else "" if key == "recipe" else "given")
        table.add_row(key, shown(value), told)
    return table


def same(a, b):
    plain = lambda x: list(x) if isinstance(x, tuple) else x
    return plain(a) == plain(b)


def shown(value):
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else "" if value is None else str(value)


def sizes(setup):
    plan = setup.plan
    table = plain("bold", "")
    table.add_row("epoch", f"{plan.epoch:,} steps of {plan.length:,} images; {len(setup.test):,} held out")
    save = f"{plan.save_every:,} steps" if plan.save_every else f"about {SAVE / 60:.0f} minutes"
    table.add_row("every", f"{plan.eval_every:,} steps an evaluation, {plan.grid_every:,} a grid; {save} a checkpoint")
    for key, x in setup.inputs.items():
        table.add_row(f"a step is given {key}", f"{x.dtype} {x.shape} from {x.low:g} to {x.high:g}")
    for net, count in parameters(setup.family).items():
        table.add_row(f"parameters of {net}", f"{count:,}")
    for what, count in memory(setup).items():
        table.add_row(what, f"{count / 2**20:,.1f} MiB")
    made = provenance()
    table.add_row("on", f"{made['device']}, {plan.way}; JAX {made['jax']}, Flax {made['flax']}")
    return table


def memory(setup):
    """Bytes on a device: what is counted from shapes, and what the compiler says that the steps need beside it."""
    state = setup.like
    size = lambda tree: sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))
    source = setup.feed(0)
    try:
        rest = {"root": setup.root, "data": source.arrays}
        xs = source.nothing()
        counted, call = {}, setup.call(source)
        if hasattr(call, "lower"):  # pmap's is a function around one
            compiled = call.lower(state, xs, (np.int32(0), rest)).compile()
            counted = {"memory of the compiled steps": compiled.memory_analysis().temp_size_in_bytes}
    finally:
        source.close()
    kept = {"optimisers": state.opt, "averages": (state.ema, state.widths)}
    parts = {"parameters and statistics": (state.params, state.stats)} | kept
    told = {f"memory of {what}": size(tree) for what, tree in parts.items() if jax.tree.leaves(tree)}
    return told | {"memory of the data": size(source.arrays) or size(xs)} | counted
