"""One visit to a GPU: does jaxgen agree with PyTorch there, how fast is it beside PyTorch eager and compiled, how far
is it from what the GPU can do, and where does the time go? Each part writes one JSON file under results/. Needs jax,
flax, optax, safetensors, rich and torch, none of the extras.

    python scripts/gpu_check.py parity [--families dcgan vae] [--out results/gpu-parity.json]
    python scripts/gpu_check.py speed|sampling|fleet|roofline|profile|forms [--families ...] [--policies tf32 bf16]
"""

import argparse
import json
import shlex
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import core, find, parallel, parity, precision
from jaxgen.bench import bench, prepared, save
from jaxgen.bench_machine import ceilings, clock, work
from jaxgen.bench_profile import kernels
from jaxgen.bench_sampling import sampling
from jaxgen.bench_torch import told
from jaxgen.errors import one_line
from jaxgen.functional import Functional
from jaxgen.nn import sums
from jaxgen.parity import ladder
from jaxgen.run import provenance

FAMILIES = ["dcgan", "dcgan_32", "mlp_gan", "vae", "wgan_gp", "ddpm"]
NETS = {"documented": {}, "unet": {"width": 128}, "dit": {"width": 384}}  # of ddpm, 32 pixels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(PARTS))
    parser.add_argument("--families", nargs="+", default=FAMILIES)
    parser.add_argument("--nets", nargs="+", default=list(NETS))
    parser.add_argument("--policies", nargs="+", default=["tf32", "bf16"])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--scan", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--out")
    asked = parser.parse_args()
    PARTS[asked.part](asked, asked.out or f"results/{jax.default_backend()}-{asked.part}.json")


def agree(asked, out):
    """The float64 gates on this device, the twin on the host, for the first case of each family; then each precision
    that the device has, ours and PyTorch's on the same device, both judged against float64."""
    results = []
    for name in asked.families:
        result = parity.verify(next(iter(parity.cases(name))), trajectory=0, rungs=ladder.available())
        print(name, result.verdict, flush=True)
        rungs = [{key: value for key, value in rung.items() if key != "rows"} for rung in result.ladder]
        levels = {row.level: row.error for row in result}
        results.append({"family": name, "ok": result.ok, "verdict": result.verdict, "levels": levels, "ladder": rungs})
        save(out, about(), results)


def about():
    return {**provenance(), **told(), "command": shlex.join(["python", *sys.argv])}


def speed(asked, out):
    how = dict(batch=asked.batch, rounds=asked.rounds, seconds=asked.seconds, scan=asked.scan)
    bench(tuple(asked.families), **how, policies=tuple(asked.policies), compiled=True, out=out)


def sample(asked, out):
    sampling(
        count=64, sampler="ancestral", sampling_steps=1000, rounds=asked.rounds, policy="tf32", compiled=True, out=out
    )


def fleet(asked, out):
    """What so many runs at once cost, as multiples of one run, each with data of its own."""
    results = []
    for name in asked.families:
        family, txs, data, key = prepared(name, asked.batch, asked.scan, stacked=True)
        run, calls = jax.vmap(parallel.many(partial(core.step, family, txs))), {}
        for count in (1, asked.runs):
            keys = jax.vmap(jax.random.key)(jnp.arange(count))
            each = jax.tree.map(lambda x, count=count: jnp.broadcast_to(x, (count, *x.shape)) + 0, data)
            state = jax.jit(jax.vmap(partial(core.init, family, txs)))(keys)
            calls[count] = begun(parallel.jit(run), state, each, keys)
        ms = {count: timed(call, asked) for count, call in calls.items()}
        results.append({"family": name, "ms a step": ms, "cost": ms[asked.runs] / ms[1]})
        print(json.dumps(results[-1]), flush=True)
        save(out, {**about(), "batch": asked.batch}, results)


def begun(run, state, data, key):
    """Some steps as a call without arguments that goes on with the state, which is donated; it was called once."""
    held = [state]

    def call():
        held[0], metrics = run(held[0], data, key)
        return metrics

    jax.block_until_ready(call())
    return call


def timed(call, asked):
    """Milliseconds a step."""
    return 1e3 * clock(call, jax.block_until_ready, asked.seconds * asked.rounds) / asked.scan


def roofline(asked, out):
    """Training steps of the nets of diffusion at a large batch, beside the machine's rates."""
    most, results = ceilings(), []
    for net in asked.nets:
        for policy in asked.policies:
            family = Functional(
                find.family("ddpm")(size=32, channels=3, net=net, **NETS[net]), precision.compute(policy)
            )
            txs, key = family.optimizers(), jax.random.key(0)
            data = {"image": jax.random.uniform(key, (asked.scan, asked.batch, 32, 32, 3), minval=-1.0)}
            with precision.scope(policy):
                counted = work(family, txs, jax.tree.map(lambda x: x[0], data), key)
                run = parallel.jit(parallel.many(partial(core.step, family, txs)))
                state = jax.jit(partial(core.init, family, txs))(key)
                ms = timed(begun(run, state, data, key), asked)
            floor = {"flops": counted["flops"] / most[f"{policy} flop/s"], "bytes": counted["bytes"] / most["bytes/s"]}
            parts = {f"part of {key}": 1e3 * value / ms for key, value in floor.items()}
            results.append({"net": net, "precision": policy, "batch": asked.batch, "ms": ms, **parts, "work": counted})
            print(json.dumps(results[-1]), flush=True)
            save(out, {**about(), "ceilings": most}, results)


def profile(asked, out):
    """The kernels that a training step spends its time in."""
    results = []
    for name in asked.families:
        for policy in asked.policies:
            family, txs, data, key = prepared(name, asked.batch, asked.scan, policy, stacked=True)
            with precision.scope(policy):
                run = parallel.jit(parallel.many(partial(core.step, family, txs)))
                state, _ = run(jax.jit(partial(core.init, family, txs))(key), data, key)
                found = kernels(partial(run, state, data, key), asked.scan)
            results.append({"family": name, "precision": policy, "ms a step": found})
            print(name, policy, *(f"\n  {ms:8.3f}  {kernel}" for kernel, ms in list(found.items())[:12]), flush=True)
            save(out, {**about(), "batch": asked.batch}, results)


def forms(asked, out):
    """A step with a CPU's forms of convolutions, sums and norms, with a GPU's, and in each of the loops over steps."""
    results = []
    for name in asked.families:
        for policy in asked.policies:
            family, txs, data, key = prepared(name, asked.batch, asked.scan, policy, stacked=True)
            step, count = partial(core.step, family, txs), (np.int32(asked.scan), key)
            many, upto = (parallel.many(step), key), lambda block, step=step: parallel.upto(step, block)
            loops = {"many": many, "upto": (upto(1), count), "upto in turns of 32": (upto(32), count)}
            ways = {"a CPU's forms, many": ("cpu", *many), **{k: ("gpu", *x) for k, x in loops.items()}}
            with precision.scope(policy):
                state = jax.jit(partial(core.init, family, txs))
                calls = {way: chosen(form, run, state(key), data, rest) for way, (form, run, rest) in ways.items()}
            ms = {way: timed(call, asked) for way, call in calls.items()}
            results.append({"family": name, "precision": policy, "ms": ms})
            print(json.dumps(results[-1]), flush=True)
            save(out, {**about(), "batch": asked.batch}, results)


def chosen(backend, run, *given):
    """`begun`, with the forms of that backend."""
    jax.clear_caches()  # the choice is made while a program is traced
    with sums.forms_of(backend):
        return begun(parallel.jit(run), *given)


PARTS = {
    "parity": agree, "speed": speed, "sampling": sample, "fleet": fleet, "roofline": roofline, "profile": profile,
    "forms": forms,
}  # fmt: skip

if __name__ == "__main__":
    with one_line("gpu_check.py"):
        main()
