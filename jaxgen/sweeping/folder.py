"""The folder of a sweep: config.json, log.jsonl with a list of numbers a metric, checkpoints/ of all runs, report.md
and curves.png."""

import json

from jaxgen import checkpoint
from jaxgen.errors import UserError, writing
from jaxgen.run import described, replace


def begin(folder, runs, lists):
    """Make the folder, or go on in one that was made with the same settings and runs."""
    more = {"runs": runs.each, "lists": lists, "init": {}}
    new = json.loads(json.dumps(described(runs.setup) | more))
    if folder.checkpoints.is_dir() and any(folder.checkpoints.iterdir()):
        old = read(folder)
        folder.config = old
        folder.refuse_other(new)
        if old["runs"] != new["runs"]:
            told = f"{span(old)} -> {span(new)}"
            raise UserError(f"{folder.folder}: made with other runs: {told}. Choose another --name.")
        new["made"] = old["made"]
    with writing(folder.folder):
        folder.folder.mkdir(parents=True, exist_ok=True)
        replace(folder.folder / "config.json", json.dumps(new, indent=2) + "\n")
    folder.config = new


def read(folder):
    """What the config of a sweep says."""
    config = folder.read()
    if "runs" not in config:
        raise UserError(f"{folder.folder}: a run of jaxgen train, not a sweep. Choose another --name.")
    return config


def span(config):
    """The runs in a few words."""
    seeds = sorted({run["seed"] for run in config["runs"]})
    listed = [f"{name} {' '.join(f'{x:g}' for x in values)}" for name, values in config["lists"].items()]
    return ", ".join([f"seeds {seeds[0]} to {seeds[-1]}", *listed])


def diverged(folder):
    """The step at which each run diverged; None for those that did not."""
    told = [line["diverged"] for line in folder.lines if "diverged" in line]
    return told[-1] if told else [None for _ in folder.config["runs"]]


def resumed(folder, runs):
    """-> the newest states of the runs, the step of the sweep; initial ones where there are none."""
    step = checkpoint.latest(folder.checkpoints)
    folder.rewind(step or 0)
    if step is None:
        return runs.state(), 0
    return checkpoint.load(folder.checkpoints, step, runs.like), step
