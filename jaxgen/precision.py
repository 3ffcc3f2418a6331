"""In what precision products (matrix products and convolutions) are computed. Weights, optimiser states, running
statistics, norms and losses are float32 under every policy; float64 is never narrowed."""

from typing import Literal

import jax
import jax.numpy as jnp

Policy = Literal["float32", "tf32", "bf16"]

# of float32 products. "tensorfloat32" is XLA's HIGH: TF32 on GPUs since Ampere, three passes of bfloat16 on a TPU (the
# digits of float32, nearly), float32 on a CPU. JAX's default would be TF32 and one pass of bfloat16.
PRODUCTS = {"float32": "highest", "tf32": "tensorfloat32", "bf16": "highest"}


def scope(policy: Policy):
    """The context in which a program is traced, and called: what was compiled outside is compiled anew."""
    return jax.default_matmul_precision(PRODUCTS[policy])


def compute(policy: Policy):
    """What layers with a product cast their input and weights to, for `Functional(module, compute)`; None: to
    nothing."""
    return jnp.bfloat16 if policy == "bf16" else None
