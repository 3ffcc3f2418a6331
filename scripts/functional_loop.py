"""A whole training run from the library's parts, for a VAE and for a GAN: python scripts/functional_loop.py [vae|dcgan]

Everything is here to be changed: the data, the step, what happens between two calls. A step is pure, and so is a scan
of many of them; on several devices the same lines run with the batch split among them.
"""

import sys
from functools import partial

import jax
import jax.numpy as jnp

from jaxgen import core, data, find, parallel, pictures, sampling, weights
from jaxgen.functional import Functional

NAME = sys.argv[1] if len(sys.argv) > 1 else "vae"
SIZES = {"vae": dict(size=24, latent=10), "dcgan": dict(size=32, width=16)}[NAME]
BATCH, CHUNK, CHUNKS = 64, 100, int(sys.argv[2]) if len(sys.argv) > 2 else 20

jax.config.update("jax_default_matmul_precision", "highest")  # the default is TF32 on a GPU, bfloat16 on a TPU

# the family: init, loss, draw and sample over plain dicts of arrays, and an optax transformation for each player
family = Functional(find.family(NAME)(**SIZES))
txs = family.optimizers(lr=1e-3 if NAME == "vae" else 4e-4)
inputs = family.inputs(BATCH)

# the data: uint8 on the device; the rows of step t are a function of (seed, t)
source = data.fit(data.load("digits").train, inputs)
arrays = source.whole()
rows = lambda t: jnp.stack([data.rows(len(source), BATCH, seed=0, step=t + i) for i in range(CHUNK)])

# the step: (state, rows, rest) -> state, metrics; its randomness is fold_in(root, state.step)
step = partial(core.step, family, txs, decay=0.995)
one = lambda state, rows, rest: step(state, data.scaled(rest["data"], inputs, rows), rest["root"])
several = parallel.many(one)
run = parallel.sharded(several, axis=1) if jax.device_count() > 1 else parallel.jit(several)

root = jax.random.key(0)
rest = {"root": root, "data": arrays}  # on every device, so that no call has to send it again
rest = parallel.replicated(rest) if jax.device_count() > 1 else jax.device_put(rest)
state = jax.jit(partial(core.init, family, txs, averaged=True))(root)
for t in range(0, CHUNK * CHUNKS, CHUNK):
    state, metrics = run(state, rows(t), rest)
    print(t + CHUNK, {key: round(float(x.mean()), 3) for key, x in metrics.items()})

weights.save(".", state.ema["params"], state.ema["stats"])  # gen.safetensors, ...: PyTorch's keys and layouts
images = sampling.images(family, state.ema["params"], state.ema["stats"], count=64, seed=0, batch=64)
print(pictures.grid(images, f"{NAME}.png"))
