"""How often the diagnosis is right: every planted fault of a layer, the layer found and the cause named."""

import jax
from rich import box
from rich.table import Table

from jaxgen.parity.diagnosis.diagnose import faulty_layer
from jaxgen.parity.mutations import Planted, everywhere, local, place
from jaxgen.parity.processes import spread
from jaxgen.parity.setting import Setting

LAYERS, CAUSES = 0.95, 0.8  # what is promised


def outcomes(processes=0):
    """{"mutation", "layer", "cause": expected, "found": Diagnosis or None, "layer_right", "cause_right"} of each."""
    return spread(outcome, [(i,) for i in range(len(local()))], processes)


def outcome(i):
    mutation = local()[i]
    case, path = next((case, path) for case in everywhere() if (path := place(mutation, case)))
    with jax.enable_x64(True):
        told = faulty_layer(Setting(Planted(case, mutation, path)))
    right = bool(told) and told.layer == path, bool(told) and told.cause == mutation.cause
    return {
        "mutation": mutation.name, "case": str(case), "layer": path, "cause": mutation.cause, "found": told,
        "layer_right": right[0], "cause_right": right[1],
    }  # fmt: skip


def score(console, processes=0):
    """Prints a line a fault and the two shares; true if both are as promised."""
    table = Table(title="planted faults of one layer", box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("fault", "in", "layer", "cause", "diagnosis"):
        table.add_column(name, overflow="fold")
    told = []
    with console.status("") as status:
        for each in outcomes(processes):
            told.append(each)
            status.update(f"{len(told)} faults, the last: {each['mutation']}")
            words = each["found"].told if each["found"] else "nothing found"
            place = "right" if each["layer_right"] else f"[red]{each['found'] and each['found'].layer}[/red]"
            cause = "right" if each["cause_right"] else "[red]wrong[/red]"
            table.add_row(each["mutation"], each["layer"], place, cause, words)
    console.print(table)
    shares = [sum(each[key] for each in told) / len(told) for key in ("layer_right", "cause_right")]
    goals = zip(("layer", "cause"), shares, (LAYERS, CAUSES), strict=True)
    for name, share, goal in goals:
        console.print(f"the right {name}: {share:.1%} of {len(told)} faults (at least {goal:.0%})", highlight=False)
    return shares[0] >= LAYERS and shares[1] >= CAUSES
