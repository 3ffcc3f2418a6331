"""The diffusion process, and its frames. What draws them now is `jaxgen/diffusion/samplers.py`."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.diffusion import samplers, schedules
from jaxgen.errors import needs
from jaxgen.parity.errata.rows import HAZARD, WRONG, raised, seen

torch = needs("torch", "verify")

betas = torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64)
alphas_cumprod = torch.cumprod(1 - betas, 0)


def perfect(x, node):
    """A denoiser, where every pixel of every image is 0.7."""
    return jnp.full_like(x, 0.7)


def path(sampling_steps):
    return schedules.discrete(schedules.linear(1000), schedules.linspace(1000, sampling_steps))


class B2_10:
    """`extract` looks its coefficients up on the host in every step and sends them back, all 1000 frames are brought to
    the host; no eval(), no average of the weights, no clipping of gradients.

    All steps are one `lax.scan` with its tables in it, which keeps the frames that are asked for; samples are drawn in
    evaluation; `--ema`, `--clip`."""

    lines, severity = "240-255, 390-393", HAZARD

    def failure(self):
        t = torch.zeros(3, dtype=torch.long, device="meta")  # a device from which the host cannot read
        told = raised(NotImplementedError, "Cannot copy out of meta", lambda: betas.gather(-1, t.cpu()))
        img, imgs = torch.randn(16, 1, 28, 28), []
        for _ in reversed(range(1000)):
            img = 0.99 * img
            imgs.append(img.cpu())
        kept = sum(img.nbytes for img in imgs) / 1e6
        return seen(kept > 50, f"{told}; {len(imgs)} frames of 16 images, {kept:.0f} MB, the last of which is used")

    def mended(self):
        start, runs = jnp.zeros((16, 28, 28, 1), jnp.float32), []
        noise = lambda i: jax.random.normal(jax.random.fold_in(jax.random.key(0), i), start.shape, start.dtype)
        sample = jax.jit(lambda x: runs.append(1) or samplers.ancestral(perfect, x, path(1000), noise))
        shapes = [sample(start + more).shape for more in range(2)]
        compiled, program = len(runs), str(jax.make_jaxpr(sample)(start))
        memory = sample.lower(start).compile().memory_analysis().temp_size_in_bytes / start.nbytes
        one = program.count("scan[") == 1 and "length=1000" in program and "callback" not in program
        fine = one and compiled == 1 and shapes == [start.shape] * 2 and memory < 20
        told = f"1000 steps are one scan, compiled {compiled} time for two batches, in {memory:.0f} times their memory"
        return seen(fine, told)


class B2_20:
    """Progressive generation feeds the network's output back as its next input: what a denoiser returns is noise, not a
    cleaner image.

    The frames of a real sampler: `frames=` of each in `jaxgen.diffusion.samplers`."""

    lines, severity = "583-587", WRONG

    def failure(self):
        current = torch.randn(64, dtype=torch.float64)
        for step in range(10):
            current = self.denoiser(current, step)
        off = (current - 0.7).abs().mean().item()
        return seen(off > 0.1, f"a perfect denoiser of images that are 0.7 everywhere: {off:.1e} off after 10 steps")

    def mended(self):
        x = jnp.asarray(np.random.default_rng(0).normal(size=(64, 1)))
        frames = np.asarray(samplers.ddim(perfect, x, path(10), frames=6))
        off = abs(frames - 0.7).mean((1, 2))
        fine = (frames[0] == x).all() and (np.diff(off) < 0).all() and off[-1] < 1e-9
        return seen(fine, f"six frames of 10 steps of DDIM: {', '.join(f'{each:.2f}' for each in off)} off")

    def denoiser(self, x, time):
        """The exact noise in x, where every pixel of every image is 0.7."""
        alpha = alphas_cumprod[time]
        return (x - torch.sqrt(alpha) * 0.7) / torch.sqrt(1 - alpha)
