"""The VAE."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import core, data, latent, weights
from jaxgen.errors import needs
from jaxgen.evaluation import evaluate
from jaxgen.families import vae
from jaxgen.functional import Functional
from jaxgen.parity.errata.ours import filled
from jaxgen.parity.errata.rows import HAZARD, WRONG, seen

torch = needs("torch", "verify")
F = torch.nn.functional
STEPS = 400


def digits(size=28):
    """Flat handwritten digits in [0, 1] of scikit-learn."""
    images = data.fit_images(data.load("digits").train["image"], size, size, 1)
    return images.reshape(images.shape[0], -1).astype(np.float32) / 255


class B1_8:
    """The data are normalised to [-1, 1], the decoder ends in a Sigmoid: the dark pixels, most of MNIST, are out of
    reach.

    `likelihood="bernoulli"`: data in [0, 1]; the printed form is `likelihood="documented"`."""

    lines, severity = "118, 132, 149", WRONG

    def failure(self):
        x = torch.from_numpy(digits()) * 2 - 1
        least = F.mse_loss(x.clamp(0, 1), x).item()
        dark = (x == -1).float().mean().item()
        told = f"digits, {dark:.0%} of their pixels at -1: the best images leave an error of {least:.2f}"
        return seen(least > 0.5, told)

    def mended(self):
        batch = {"image": np.asarray([[0, 255]], np.uint8).reshape(1, 1, 2, 1)}
        x = data.scale(batch, vae.Family().inputs(1))["image"]
        least, low, high = float(((x.clip(0, 1) - x) ** 2).mean()), float(x.min()), float(x.max())
        told = f"jaxgen gives the VAE data in [{low:.0f}, {high:.0f}]: the best images leave {least:.2f}"
        return seen(least == 0, told)


class B1_9:
    """The squared error is a mean over 784 pixels, the KL divergence a sum over the code: its weight is 392 times too
    large, and the code dies.

    `likelihood="bernoulli"` sums both: the loss is the negative evidence lower bound in nats an image. `jaxgen parity
    errata B1.9 --plot FILE.png` draws both."""

    lines, severity = "140, 149", WRONG
    axes = "training step", "KL divergence, nats an image"

    def failure(self):
        kl, spread = trained("documented")
        told = f"after {STEPS} steps on digits KL {kl[-20:].mean():.1e} nats, codes {spread:.3f} apart"
        return seen(kl[-20:].mean() < 0.01 and spread < 0.1, told)

    def mended(self):
        kl, spread = trained("bernoulli")
        told = f"after {STEPS} steps on digits KL {kl[-20:].mean():.1f} nats, codes {spread:.2f} apart"
        return seen(kl[-20:].mean() > 1 and spread > 0.3, told)

    def curves(self):
        """Of the same two runs."""
        steps = range(1, STEPS + 1)
        return {name: (steps, trained(name)[0].tolist()) for name in ("bernoulli", "documented")}


@cache
def trained(likelihood):
    """-> the KL divergence of the documented VAE in every step, and how far the codes' means are spread in the end."""
    family = Functional(vae.Family(likelihood=likelihood))
    txs = family.optimizers()

    @jax.jit
    def run(state, images, batches):
        step = lambda state, rows: core.step(family, txs, state, {"image": images[rows]}, jax.random.key(1))
        state, metrics = jax.lax.scan(step, state, batches)
        (mu, _), _ = family.apply(state.params, state.stats, images[:200], method="encode", train=False)
        return metrics["kl"], mu.std(0).max()

    with jax.enable_x64(False):
        images = digits().reshape(-1, 28, 28, 1)
        batches = np.stack([data.rows(images.shape[0], 64, 0, i) for i in range(STEPS)])
        start = jax.jit(lambda key: core.init(family, txs, key))(jax.random.key(0))
        kl, spread = jax.device_get(run(start, images, batches))
        return kl, float(spread)


class B1_10:
    """Reduced dimensions and new data points are promised, no code does either; `Normal` is imported for nothing; the
    loss that is printed is that of the last batch.

    `jaxgen latent RUN encode` gives the codes, `interpolate` what lies between, `decode` and `jaxgen sample` new data;
    what is logged is a mean over the rows."""

    lines, severity = "101, 153, 157-158", HAZARD

    def failure(self):
        x = torch.cat([torch.zeros(64, 4), torch.ones(6, 4)])
        for rows in x.split(64):
            loss = F.mse_loss(rows, torch.zeros_like(rows))
        mean = (x**2).mean().item()
        return seen(loss.item() == 1 and mean < 0.1, f"printed {loss.item():.2f}; mean over the epoch {mean:.2f}")

    def mended(self):
        given = dict(size=4, hidden=(6,), latent=2)
        family = Functional(vae.Family(**given))
        params, stats = filled(family)
        with TemporaryDirectory() as folder:
            weights.save(folder, params, stats)
            file, own = Path(folder, "vae.safetensors"), dict(family="vae", **given)
            codes = latent.encode(file, data="digits", resize="stretch", count=9, **own)["mean"]
            between = latent.interpolate(file, data="digits", resize="stretch", count=3, **own)["frames"]
            images = latent.decode(file, codes, **own)
        shapes = codes.shape, images.shape, between.shape
        rec, want = self.logged(family, params, stats)
        told = f"codes {shapes[0]}, their images {shapes[1]}, ways between two {shapes[2]}; logged {rec:.2f} nats"
        return seen(shapes == ((9, 2), (9, 4, 4, 1), (3, 10, 4, 4, 1)) and abs(rec - want) < 1e-6, told)

    def logged(self, family, params, stats):
        """The reconstruction's nats by a decoder that always answers log(3), of 300 black images and 30 white ones; and
        what they are: log(4) a black pixel, log(4 / 3) a white one."""
        last = list(params["vae"]["decoder"])[-1]
        params["vae"]["decoder"][last] = jax.tree.map(jnp.zeros_like, params["vae"]["decoder"][last])
        params["vae"]["decoder"][last]["bias"] += np.log(3)
        images = np.repeat(np.array([0, 255], np.uint8), [300, 30])[:, None, None, None] * np.ones((4, 4, 1), np.uint8)
        rec = evaluate(family, params, stats, data.Arrays({"image": images}))["rec"]
        return rec, 16 * (300 * np.log(4) + 30 * np.log(4 / 3)) / 330
