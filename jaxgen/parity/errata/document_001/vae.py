"""The VAE."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import core, data
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

    `likelihood="bernoulli"` sums both: the loss is the negative evidence lower bound in nats an image."""

    lines, severity = "140, 149", WRONG

    def failure(self):
        kl, spread = self.trained("documented")
        told = f"after {STEPS} steps on digits KL {kl:.1e} nats, codes {spread:.3f} apart"
        return seen(kl < 0.01 and spread < 0.1, told)

    def mended(self):
        kl, spread = self.trained("bernoulli")
        told = f"after {STEPS} steps on digits KL {kl:.1f} nats, codes {spread:.2f} apart"
        return seen(kl > 1 and spread > 0.3, told)

    def trained(self, likelihood):
        """KL divergence of the documented VAE after some steps, and how far the codes' means are spread."""
        family = Functional(vae.Family(likelihood=likelihood))
        txs = family.optimizers()

        @jax.jit
        def run(state, images, batches):
            step = lambda state, rows: core.step(family, txs, state, {"image": images[rows]}, jax.random.key(1))
            state, metrics = jax.lax.scan(step, state, batches)
            mu, _ = coded(state.params["vae"], images[:200].reshape(200, -1))
            return metrics["kl"][-20:].mean(), mu.std(0).max()

        with jax.enable_x64(False):
            images = digits().reshape(-1, 28, 28, 1)
            batches = np.stack([data.rows(images.shape[0], 64, 0, i) for i in range(STEPS)])
            start = jax.jit(lambda key: core.init(family, txs, key))(jax.random.key(0))
            return tuple(map(float, run(start, images, batches)))


class B1_10:
    """Reduced dimensions and new data points are promised, no code does either; `Normal` is imported for nothing; the
    loss that is printed is that of the last batch.

    `encode` gives the codes, `jaxgen sample` new data; what is logged is a mean over the rows."""

    lines, severity, until = "101, 153, 157-158", HAZARD, "GANs and VAEs"

    def failure(self):
        x = torch.cat([torch.zeros(64, 4), torch.ones(6, 4)])
        for rows in x.split(64):
            loss = F.mse_loss(rows, torch.zeros_like(rows))
        mean = (x**2).mean().item()
        return seen(loss.item() == 1 and mean < 0.1, f"printed {loss.item():.2f}; mean over the epoch {mean:.2f}")

    def mended(self):
        family = Functional(vae.Family(size=2, hidden=(4,), latent=1))
        params, stats = filled(family)
        x = np.concatenate([np.zeros((64, 2, 2, 1), np.uint8), np.full((6, 2, 2, 1), 255, np.uint8)])
        rec = evaluate(family, params, stats, data.Arrays({"image": x}))["rec"]
        mu, _ = coded(params["vae"], x.reshape(70, 4) / 255)
        images = jax.jit(family.sample)(params, stats, {"eps": jnp.zeros((3, 1))})
        told = f"codes {mu.shape} of 4 pixels; samples {images.shape}; reconstruction, over all rows, {rec:.2f} nats"
        return seen(mu.shape == (70, 1) and images.shape == (3, 2, 2, 1) and np.isfinite(rec), told)


def coded(params, x):
    """Means and log-variances of flat images' codes."""
    widths = [params["encoder"][key]["weight"].shape for key in sorted(params["encoder"])]
    hidden, latent = tuple(out for out, _ in widths[:-1]), widths[-1][0] // 2
    net = Functional(vae.VAE(x.shape[1], hidden, latent))
    return net.apply(params, {}, x, method="encode")[0]
