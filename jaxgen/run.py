"""The folder of a run: config.json, log.jsonl, checkpoints/, samples/, curves.png and a file of weights a net."""

import hashlib
import json
import platform
import subprocess
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxgen import __version__, checkpoint, find, initial, pictures, settings, weights
from jaxgen.errors import MissingExtra, StorageError, UserError, needs, writing
from jaxgen.functional import Functional
from jaxgen.setup import build

# what may change in the middle of a run: its length, what it tells, and where it is computed
FREE = (
    "steps", "epochs", "log_every", "eval_every", "grid_every", "save_every", "tensorboard", "dry_run", "parallel",
    "deterministic", "stream", "workers", "name", "data_dir", "snapshot_every",
)  # fmt: skip


class Run:
    """A folder, and what its config says."""

    def __init__(self, folder):
        self.folder = Path(folder)

    @property
    def checkpoints(self):
        return self.folder / "checkpoints"

    @cached_property
    def config(self) -> dict[str, Any]:
        config = self.read()
        if "runs" in config:
            how = f"Take one out: jaxgen sweep take {self.folder} INDEX"
            raise UserError(f"{self.folder}: a sweep of {len(config['runs'])} runs. {how}, or choose another --name.")
        return config

    def read(self) -> dict[str, Any]:
        """What config.json says, of a run or of a sweep."""
        path = self.folder / "config.json"
        if not path.is_file():
            raise UserError(f"{self.folder}: not the folder of a run (there is no config.json).")
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise StorageError(f"{path}: not readable ({error}). Choose another --name.") from error

    @cached_property
    def family(self) -> Functional:
        return build(self.config["family"], self.config["settings"])

    def begin(self, setup):
        """Make the folder, or go on in one that was made with the same settings."""
        new = json.loads(json.dumps(described(setup)))
        if self.checkpoints.is_dir() and any(self.checkpoints.iterdir()):
            self.refuse_other(new)
            new |= {key: self.config[key] for key in ("init", "made")}
        else:
            new["init"] = initial.digests(setup)
        with writing(self.folder):
            (self.folder / "samples").mkdir(parents=True, exist_ok=True)
            replace(self.folder / "config.json", json.dumps(new, indent=2) + "\n")
        self.config = new

    def refuse_other(self, new):
        """What changes the mathematics of a run may not change in the middle of it."""
        flat = lambda c: {
            **c["settings"],
            **{key: c[key] for key in ("family", "source", "rows", "optimizers", "decay_ends")},
        }
        old, new = flat(self.config), flat(new)
        keys = [key for key in old | new if old.get(key) != new.get(key) and key not in FREE]
        odd = "; ".join(f"{key} {old.get(key)} -> {new.get(key)}" for key in keys)
        if odd:
            raise UserError(f"{self.folder}: made with other settings: {odd}. Choose another --name.")

    def log(self, step: int, seconds: float, metrics: dict[str, float]):
        with writing(self.folder), (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "seconds": round(seconds, 3), **metrics}) + "\n")
        if self.board:
            for key, x in metrics.items():
                self.board.add_scalar(key, x, step)

    @property
    def seconds(self) -> float:
        """How long the run has been under way."""
        return self.lines[-1]["seconds"] if self.lines else 0.0

    @property
    def best(self):
        return checkpoint.best(self.checkpoints)

    @cached_property
    def board(self):
        """TensorBoard's file, where it is wished for."""
        if self.config["settings"]["tensorboard"]:
            return needs("tensorboardX", "tensorboard").SummaryWriter(str(self.folder / "tensorboard"))

    def close(self):
        if self.board:
            self.board.close()

    @property
    def lines(self) -> list[dict[str, float]]:
        path = self.folder / "log.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def rewind(self, step: int):
        """Forget the lines of the log that the state of `step` has not seen, and one that was cut in the writing."""
        path = self.folder / "log.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        with writing(path):
            replace(path, "".join(line + "\n" for line in lines if seen(line, step)))

    def save_weights(self, state):
        """Each net as NET.safetensors, its average as NET.ema.safetensors."""
        self.write_weights("", state.step, state.params, state.stats)
        if state.ema:
            self.write_weights(".ema", state.step, **state.ema)

    def save_best(self, state):
        """What would be sampled of the state that ranks best, as NET.best.safetensors."""
        self.write_weights(".best", state.step, **(state.ema or {"params": state.params, "stats": state.stats}))

    def write_weights(self, suffix, step, params, stats, folder=None):
        said = {"family": self.config["family"], "arguments": self.arguments, "step": int(step)}
        about = {"jaxgen": json.dumps(said)}  # one entry: safetensors writes several in any order
        with writing(self.folder):
            weights.save(folder or self.folder, params, stats, suffix, about)

    @property
    def arguments(self):
        return settings.of(find.family(self.config["family"]).__init__, self.config["settings"])

    def load_weights(self, averaged: bool = True):
        """-> params, stats; the averaged ones where there are some."""
        return self.read_weights(".ema" if averaged and list(self.folder.glob("*.ema.safetensors")) else "")

    def best_weights(self):
        """-> params, stats of the state that ranks best; the averaged ones where there are some."""
        if not list(self.folder.glob("*.best.safetensors")):
            raise UserError(
                f"{self.folder}: has no best weights: the family names no metric that ranks, or it is early."
            )
        return self.read_weights(".best")

    def read_weights(self, suffix, folder=None):
        like = jax.eval_shape(self.family.init, jax.random.key(0))
        params, stats = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like)
        return weights.load(folder or self.folder, params, stats, suffix, self.family.aliases)

    def draw_curves(self, say=print):
        try:
            with writing(self.folder):
                pictures.curves(self.folder / "log.jsonl", self.folder / "curves.png")
        except MissingExtra as missing:
            say(f"no curves: {missing}")


def replace(path, text):
    """The whole text or the old one, whatever happens in between."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


def seen(line, step):
    try:
        return json.loads(line)["step"] <= step
    except ValueError:
        return False


def described(setup):
    """What config.json says: enough to make the run again."""
    name, options = setup.name, setup.options
    steps, decays = setup.plan.steps, options["schedule"] != "constant"
    return {
        "family": str(Path(name).resolve()) if find.is_path(name) else name,
        "settings": options,
        "recipe": settings.recipe(find.family(name), options["recipe"]),
        "optimizers": "given in Python" if setup.own else "the family's",
        "decay_ends": steps if decays else None,  # the step; a run whose rate decays has its length for good
        "rows": len(setup.train),
        "source": digest(name) if find.is_path(name) else "",
        "made": provenance(),
    }


def digest(path):
    """A family of a user's own is the text of its file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def provenance() -> dict[str, str]:
    """What it takes to make a run again."""
    packages = {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")}
    device = jax.devices()[0]
    where = {"python": platform.python_version(), "device": f"{jax.device_count()} x {device.device_kind}"}
    return {"jaxgen": __version__, "commit": commit(), **packages, **where}


def commit():
    """The commit of our own checkout, and whether its files were changed since; "" elsewhere: also where an installed
    copy lies inside another repository."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        told = lambda *words: subprocess.run([*git, *words], capture_output=True, text=True, check=True).stdout.strip()
        changed = told("status", "--porcelain", "--untracked-files=no")
        return told("rev-parse", "HEAD") + (" and changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
