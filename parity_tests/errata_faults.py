"""Faults for the rows of the errata: what is planted in jaxgen or in torch, and which half of a row must notice."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

import torch_ref.backbones.documented as torch_documented
from jaxgen import core, data, nn, objectives, variational
from jaxgen.backbones import documented, unet
from jaxgen.diffusion import guidance, multistep, schedules
from jaxgen.families import cgan, dcgan, ddpm, mlp_gan, vae
from jaxgen.functional import Functional
from torch_ref.diffusion.process import DiffusionProcess


def sampled_in_training(self, params, stats, draws):
    return self.apply(params, stats, draws, method="sample", train=True)[0]


def of_columns(self, time, x):
    """A row's factors, but as printed along the width."""
    left = jnp.asarray(self.alphas_cumprod())[time]
    return left**0.5, (1 - left) ** 0.5


def eta_too_large(path, eta):
    """The noise of the point that is gone to, not of the step."""
    noise = eta * path.sigma[1:]
    keep = np.sqrt(path.sigma[1:] ** 2 - noise**2) / path.sigma[:-1]
    return multistep.Table(keep, path.alpha[1:] - keep * path.alpha[:-1], 0 * keep, noise)


def silent_to_zero(path, eta, table=multistep.ddim_table):
    """Without noise in the step to time 0, as printed."""
    made = table(path, eta)
    return made._replace(noise=np.where(path.time[1:] > 0, made.noise, 0))


def all_kept(step, carry, tables, frames=0):
    """All images, of which the last is used."""

    def keeping(carry, row):
        carry = step(carry, row)
        return carry, carry[0]

    return jax.lax.scan(keeping, carry, tables)[1][-1]


def never_moving(step, carry, tables, frames=0):
    return jnp.stack([carry[0]] * frames)


def preferring_fakes(real, fake):
    return real.mean() - fake.mean()


def towards_zero(real, fake):
    """Both, as printed, where D(x) is taken for fakes."""
    return 0.5 * (objectives.score_towards(real, 0.0) + objectives.score_towards(fake, 0.0))


def bounded(self, x):
    """Through the Sigmoid."""
    return self(x).reshape(-1)


def of_batches(norm, channels):
    return nn.BatchNorm2d(channels)


def of_the_last_axis(x):
    return jnp.sqrt((x**2).sum(-1))


def without_labels(x, label, classes):
    return jnp.pad(x, [(0, 0)] * 3 + [(0, classes)])


def last_batch(values, weights):
    return values[-1]


WASSERSTEIN, LEAST_SQUARES = objectives.wasserstein_gp, objectives.least_squares


FAULTS = [
    ("B0.7", "mended", objectives, "wasserstein_gp", WASSERSTEIN._replace(disc=preferring_fakes)),
    ("B0.7", "mended", mlp_gan.Discriminator, "logits", bounded),
    ("B0.8", "mended", objectives, "wasserstein_gp", WASSERSTEIN._replace(penalty=objectives.at_real)),
    ("B0.8", "mended", nn, "row_norm", of_the_last_axis),
    ("B1.9", "mended", variational, "bernoulli", variational.documented),
    ("B1.10", "mended", np, "average", last_batch),
    ("B1.10", "mended", vae.Family, "encode", lambda self, image: self.look(image)),
    ("B2.12", "mended", dcgan.Discriminator, "logits", bounded),
    ("B2.13", "mended", dcgan, "normed", of_batches),
    ("B2.14", "mended", jax.lax, "stop_gradient", lambda x: x),
    ("B2.15", "mended", cgan, "add_condition", without_labels),
    ("B3.6", "mended", objectives, "least_squares", LEAST_SQUARES._replace(disc=towards_zero)),
    ("B3.6", "mended", objectives, "least_squares", LEAST_SQUARES._replace(gen=lambda fake, real: (fake**2).mean())),
    ("B0.9", "mended", core, "average", lambda old, new, decay: new),
    ("B1.2", "mended", data, "fit_images", lambda images, height, width, channels: images[:, :32, :32].repeat(3, -1)),
    ("B1.7", "mended", objectives, "bce", objectives.bce._replace(gen=lambda fake: -objectives.bce_half.gen(fake))),
    ("B0.4", "mended", ddpm.Family, "at", of_columns),
    ("B0.5", "mended", schedules, "vp_alpha", lambda t, *betas: np.exp(-0.25 * 0.02 * np.asarray(t) ** 2)),
    ("B0.6", "mended", DiffusionProcess, "extract", lambda self, a, t, x: a.gather(-1, t.cpu())),
    ("B2.1", "mended", torch.nn, "GroupNorm", lambda groups, channels: torch.nn.Identity()),
    ("B2.2", "mended", torch_documented, "sinusoidal", lambda t, features: t[:, None].expand(-1, features) * 0),
    ("B2.3", "mended", documented, "joined", lambda x, skip: jnp.concatenate([x.repeat(2, 1), skip], -1)),
    ("B2.5", "mended", unet, "zeroed", lambda layer: layer),
    ("B2.6", "mended", schedules, "documented", schedules.leading),
    ("B2.7", "mended", multistep, "ddim_table", eta_too_large),
    ("B2.8", "mended", multistep, "ddim_table", silent_to_zero),
    ("B2.9", "mended", guidance, "thresholded", lambda denoise: denoise),
    ("B2.10", "mended", multistep, "loop", all_kept),
    ("B2.20", "mended", multistep, "loop", never_moving),
    ("B4.3", "mended", schedules, "document_004", lambda timesteps: 1 - np.arange(timesteps) / timesteps),
    ("B2.4", "mended", nn, "Upsample", lambda **how: lambda x: jax.image.resize(x, (1, 8, 8, 1), "bilinear")),
    ("B2.11", "mended", Functional, "sample", sampled_in_training),
    ("B2.14", "mended", core, "share", lambda family, tree, turn: tree[:8]),
    ("B3.3", "mended", nn, "flatten", lambda x: x.reshape(x.shape[0], -1)),
    ("B3.8", "mended", objectives, "bce", objectives.bce_half),
    ("B2.1", "failure", torch.nn, "GroupNorm", lambda groups, channels: None),
    ("B2.16", "failure", torch, "sqrt", lambda product: torch.linalg.eigvals(product).real.sqrt().diag()),
    ("B2.17", "failure", torch, "log", lambda p: p.clip(1e-30).log()),
    ("B4.1", "failure", torch.nn, "BCELoss", lambda: lambda output, label: (output - label[: output.shape[0]]).mean()),
]
