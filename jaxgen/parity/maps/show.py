"""A weight map as a table for people and as JSON for programs."""

from dataclasses import asdict

from rich import box
from rich.table import Table

from jaxgen.errors import UserError
from jaxgen.parity.maps import algebra

FORMAT = "jaxgen weight map 1"


def rows(weight_map):
    """One dict a rule: names, shapes, what is done, and why."""
    shape = lambda names, shapes: [list(shapes.get(name, ())) for name in names]
    for rule in weight_map.rules:
        yield {
            "torch": list(rule.torch), "torch_shape": shape(rule.torch, weight_map.torch), "rule": rule.text,
            "jax": list(rule.jax), "jax_shape": shape(rule.jax, weight_map.jax), "reason": rule.reason,
        }  # fmt: skip


def table(weight_map):
    told = lambda items: "\n".join(map(str, items)) or "-"
    shapes = lambda items: told(tuple(item) for item in items)
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for title in ("PyTorch", "shape", "what is done", "JAX", "shape", "reason"):
        drawn.add_column(title, overflow="fold")
    for row in rows(weight_map):
        texts = (told(row["torch"]), shapes(row["torch_shape"]), row["rule"])
        drawn.add_row(*texts, told(row["jax"]), shapes(row["jax_shape"]), row["reason"])
    return drawn


def to_json(weight_map):
    keep = lambda rule: {
        "torch": list(rule.torch), "jax": list(rule.jax), "steps": [step_to_json(step) for step in rule.steps],
        "reason": rule.reason, "fill": rule.fill, "same_as": rule.same_as,
    }  # fmt: skip
    return {
        "format": FORMAT,
        "layers": dict(weight_map.layers),
        "takes": {path: list(fold.shape) for path, fold in weight_map.takes.items()},
        "gives": {path: list(fold.shape) for path, fold in weight_map.gives.items()},
        "torch": {name: list(shape) for name, shape in weight_map.torch.items()},
        "jax": {path: list(shape) for path, shape in weight_map.jax.items()},
        "rules": [keep(rule) for rule in weight_map.rules],
    }


def read_rules(entries):
    """What a Rule is made of, from JSON."""
    if entries.get("format") != FORMAT:
        raise UserError(f"weight map: expected the format {FORMAT!r}, got {entries.get('format')!r}.")
    for entry in entries["rules"]:
        steps = tuple(step_from_json(step) for step in entry["steps"])
        yield {**entry, "torch": tuple(entry["torch"]), "jax": tuple(entry["jax"]), "steps": steps}


def read_shapes(shapes):
    return {name: tuple(shape) for name, shape in shapes.items()}


def step_to_json(step):
    return {"step": type(step).__name__.lower(), **asdict(step)}


def step_from_json(entry):
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items() if key != "step"}
    try:
        return algebra.KINDS[entry["step"]](**values)
    except (KeyError, TypeError) as error:
        raise UserError(f"weight map: {entry} is no step. There are {', '.join(algebra.KINDS)}.") from error
