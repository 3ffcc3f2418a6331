"""One visit to a GPU: does jaxgen agree with PyTorch there, how fast is it beside PyTorch eager and compiled, and where
does the time go? Writes one JSON file. Needs jax, flax, optax, safetensors and torch, none of the extras.

    python scripts/gpu_check.py [--out results/gpu.json] [--batch 128] [--seconds 3] [--families dcgan mlp_gan vae ddpm]
"""

import argparse
import json
from functools import partial
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch

from jaxgen import core, find, parallel, parity
from jaxgen.bench_machine import ceilings, clock, work
from jaxgen.functional import Functional
from jaxgen.parity import ladder, pairs

STEPS = 20  # of the documented loop in a call
PRECISIONS = {"float32": ("highest", False), "tf32": ("default", True)}  # JAX's matmul precision, torch's TF32 flags


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="results/gpu.json")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scan", type=int, default=50)
    parser.add_argument("--families", nargs="+", default=["dcgan", "mlp_gan", "vae", "ddpm"])
    told = parser.parse_args()
    results = {"about": about(), "ceilings": ceilings()}
    write(told.out, results)
    for name in told.families:
        results.setdefault("parity", {})[name] = [agreed(case) for case in parity.cases(name)]
        write(told.out, results)
    for name in told.families:
        for precision in PRECISIONS:
            with at_precision(precision):
                row = speed(name, told)
            results.setdefault("speed", []).append({"family": name, "precision": precision, **row})
            print(json.dumps(results["speed"][-1]), flush=True)
            write(told.out, results)
    results["profile"] = {name: profile(name, told.batch, told.scan) for name in told.families}
    write(told.out, results)


def about():
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    devices = [str(device) for device in jax.devices()]
    return {"jax": jax.__version__, "torch": torch.__version__, "gpu": gpu, "jax devices": devices}


def write(path, results):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(results, indent=2) + "\n")


def agreed(case):
    """The float64 gates on this device, the twin on the host; then each precision that the device has, ours and
    PyTorch's on the same device, both judged against float64."""
    result = parity.verify(case, trajectory=0, rungs=ladder.available())
    print(result.verdict, flush=True)
    brief = lambda rung: {key: value for key, value in rung.items() if key != "rows"}
    levels, rungs = {row.level: row.error for row in result}, [brief(rung) for rung in result.ladder]
    return {"case": str(case), "ok": result.ok, "levels": levels, "ladder": rungs}


class at_precision:
    """Both frameworks at one precision of products and convolutions."""

    def __init__(self, name):
        self.jax, self.tf32 = PRECISIONS[name]

    def __enter__(self):
        self.before = jax.config.jax_default_matmul_precision
        jax.config.update("jax_default_matmul_precision", self.jax)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.tf32
        torch.backends.cudnn.benchmark = True

    def __exit__(self, *error):
        jax.config.update("jax_default_matmul_precision", self.before)


def speed(name, told):
    """Milliseconds a step of each side, in turn, and PyTorch's best time over ours."""
    sides = {**ours(name, told.batch, told.scan), **theirs(name, told.batch)}
    times = {side: [] for side in sides}
    for _ in range(told.rounds):
        for side, (call, wait, steps) in sides.items():
            times[side].append(1e3 * clock(call, wait, told.seconds / told.rounds) / steps)
    medians = {side: float(np.median(x)) for side, x in times.items()}
    best = min(ms for side, ms in medians.items() if side.startswith("torch"))
    ratios = {side: best / ms for side, ms in medians.items() if side.startswith("jaxgen")}
    return {"batch": told.batch, "ms": medians, "ratio to torch's best": ratios}


def ours(name, batch, scan):
    """{side: (call, wait, steps a call)}; the data are on the device, the state is donated."""
    family, txs, data, key = prepared(name, batch, scan)
    step = partial(core.step, family, txs)
    sides = {}
    for side, run, fed, steps in [
        ("jaxgen jit", parallel.jit(step), pairs.at(data, 0), 1),
        ("jaxgen many", parallel.jit(parallel.many(step)), data, scan),
    ]:
        held = [jax.jit(partial(core.init, family, txs))(key)]

        def call(run=run, fed=fed, held=held):
            held[0], metrics = run(held[0], fed, key)
            return metrics

        sides[side] = call, jax.block_until_ready, steps
    return sides


def prepared(name, batch, scan):
    loop = import_module(f"torch_ref.documented.{name}")
    family = Functional(find.family(name)(**loop.matches))
    rng = np.random.default_rng(0)
    inputs = family.inputs(batch * core.shares(family)).items()
    data = {key: jnp.asarray(rng.uniform(x.low, x.high, (scan, *x.shape)), jnp.float32) for key, x in inputs}
    return family, family.optimizers(), data, jax.random.key(0)


def theirs(name, batch):
    """The documented loop, as it is and with its nets compiled, one step a call."""
    loop, device = import_module(f"torch_ref.documented.{name}"), "cuda" if torch.cuda.is_available() else "cpu"
    family, _, data, key = prepared(name, batch, 1)
    draws = family.draw(key, pairs.at(data, 0))
    given = loop.arguments(*pairs.to_torch(family, (pairs.at(data, 0), draws)))
    *kept, noise = (x.to(device) for x in given)
    wait = lambda _: torch.cuda.synchronize() if device == "cuda" else None
    sides = {}
    for side, mode in [("torch eager", None), ("torch compiled", "default"), ("torch cudagraphs", "reduce-overhead")]:
        twin = find.twin(name)(**loop.matches).to(device)
        for net in list(twin._modules) if mode else ():
            setattr(twin, net, torch.compile(getattr(twin, net), mode=mode))

        def call(twin=twin):
            loop.train(twin, ((*kept, torch.randn_like(noise)) for _ in range(STEPS)))

        try:
            call()
            sides[side] = call, wait, STEPS
        except Exception as error:  # a mode that this build of torch cannot run is told, not hidden
            print(f"{name}, {side}: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
    return sides


def profile(name, batch, scan):
    """What the compiler says of one step."""
    family, txs, data, key = prepared(name, batch, scan)
    return work(family, txs, pairs.at(data, 0), key)


if __name__ == "__main__":
    main()
