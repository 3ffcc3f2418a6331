"""What a machine can do and what a program asks of it: rates of a large product and a large copy, and the compiler's
count of a step's work, traffic and memory. Needs none of the extras."""

import time
from functools import partial
from math import prod

import jax
import jax.numpy as jnp

from jaxgen import core, parallel, precision
from jaxgen.nn import sums


def ceilings(side=None, seconds=1.0):
    """The largest rates of this machine in a product and in a copy, as JAX reaches them."""
    gpu = jax.default_backend() == "gpu"
    side, rates = side or (8192 if gpu else 2048), {}
    for policy in ("float32", "tf32", "bf16") if gpu else ("float32",):
        x = jax.random.normal(jax.random.key(0), (side, side), precision.compute(policy) or jnp.float32)
        with precision.scope(policy):  # random numbers: a product of zeros or ones is faster on a GPU
            seconds_each = clock(partial(jax.jit(lambda x: x @ x), x), jax.block_until_ready, seconds)
        rates[f"{policy} flop/s"] = 2 * side**3 / seconds_each
    x = jnp.ones((2**28 if gpu else 2**25,), jnp.float32)
    moved, copy = 2 * x.nbytes, jax.jit(lambda x: x + 1, donate_argnums=0)

    def again():  # in place: memory that is given anew costs a CPU as much as the copy
        nonlocal x
        x = copy(x)
        return x

    return rates | {"bytes/s": moved / clock(again, jax.block_until_ready, seconds)}


def clock(call, wait, seconds):
    """Seconds a call, after one that is not counted."""
    wait(call())
    begun, count = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        out = call()
        count += 1
        if count % 10 == 0:
            wait(out)
    wait(out)
    return (time.perf_counter() - begun) / count


def work(family, txs, batch, key):
    """Operations of one step in products and convolutions; what the compiler says of it: bytes moved, bytes beside the
    state; and how long it took."""
    state = jax.eval_shape(partial(core.init, family, txs), key)
    lowered = jax.jit(partial(core.step, family, txs)).lower(state, batch, key)
    begun = time.perf_counter()
    compiled = lowered.compile(compiler_options=parallel.options())
    took = time.perf_counter() - begun
    cost, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
    jax.clear_caches()
    with sums.forms_of("gpu"):  # the textbook's: a form that needs fewer operations has not done less
        useful = products(jax.make_jaxpr(partial(core.step, family, txs))(state, batch, key).jaxpr)
    jax.clear_caches()
    return {
        "flops": useful,
        "bytes": cost.get("bytes accessed"),
        "temporary bytes": getattr(memory, "temp_size_in_bytes", None),
        "compile seconds": took,
    }


def products(jaxpr):
    """Multiplications and additions in the products and convolutions of a program: the useful ones, whatever library
    runs them. A convolution's padding counts, the zeros between the values of a transposed one do not."""
    return sum(map(equation, jaxpr.eqns))


def equation(eqn):
    if eqn.primitive.name == "dot_general":
        [contracted, _], _ = eqn.params["dimension_numbers"]
        return 2 * eqn.outvars[0].aval.size * prod(eqn.invars[0].aval.shape[i] for i in contracted)
    if eqn.primitive.name == "conv_general_dilated":
        kernel, numbers = eqn.invars[1].aval.shape, eqn.params["dimension_numbers"].rhs_spec
        taps = kernel[numbers[1]] * prod(kernel[i] for i in numbers[2:])
        return 2 * eqn.outvars[0].aval.size * taps / prod(eqn.params["lhs_dilation"])
    programs = filter(is_program, jax.tree.leaves(eqn.params, is_leaf=is_program))
    inner = sum(products(getattr(program, "jaxpr", program)) for program in programs)
    return inner * eqn.params.get("length", 1) if eqn.primitive.name == "scan" else inner


def is_program(x):
    return hasattr(getattr(x, "jaxpr", x), "eqns")
