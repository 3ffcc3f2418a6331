"""The diffusion process and its samplers."""

import jax
import jax.numpy as jnp

from jaxgen.errors import needs
from jaxgen.parity.errata.rows import HAZARD, STOPS, WRONG, raised, seen

torch = needs("torch", "verify")

betas = torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64)
alphas_cumprod = torch.cumprod(1 - betas, 0)


def steps(sampling_timesteps=100, timesteps=1000):
    """The printed (time, next time) of accelerated sampling; the last next time is -1, that of the image."""
    times = torch.linspace(-1, timesteps - 1, steps=sampling_timesteps + 1).int().tolist()[::-1]
    return list(zip(times[:-1], times[1:], strict=True))


def alpha_at(time):
    return alphas_cumprod[time] if time >= 0 else torch.ones((), dtype=torch.float64)


class B2_6:
    """The number of sampling steps is overwritten by a tensor of them, from which `linspace` then cannot count.

    It stays an int."""

    lines, severity, until = "487-491, 500", STOPS, "diffusion"

    def failure(self):
        overwritten = torch.linspace(0, 999, 100, dtype=torch.long)
        return raised(TypeError, "steps=Tensor", lambda: torch.linspace(-1, 999, steps=overwritten + 1))

    def mended(self):
        pairs = steps(100)
        told = f"{len(pairs)} steps from {pairs[0][0]} to {pairs[-1][1]}"
        return seen(len(pairs) == 100 and pairs[0][0] == 999 and pairs[-1][1] == -1, told)


class B2_7:
    """Stochastic DDIM takes eta itself for the noise's deviation: sqrt(1 - alpha' - eta^2) is NaN in the steps next to
    the image at eta = 0.5, in all of them at eta = 1.

    sigma = eta sqrt((1 - alpha') / (1 - alpha) (1 - alpha / alpha')), sqrt(1 - alpha' - sigma^2) (Song et al.,
    2021)."""

    lines, severity, until = "512, 514", WRONG, "diffusion"

    def failure(self):
        count = {eta: self.nans(lambda alpha, after, eta=eta: eta) for eta in (0.5, 1.0)}
        return seen(0 < count[0.5] < 100 and count[1.0] == 100, f"NaN in {count[0.5]} and {count[1.0]} of 100 steps")

    def mended(self):
        sigma = lambda alpha, after: ((1 - after) / (1 - alpha) * (1 - alpha / after)).sqrt()
        count = [self.nans(lambda alpha, after, eta=eta: eta * sigma(alpha, after)) for eta in (0.5, 1.0)]
        return seen(count == [0, 0], f"NaN in {count[0]} and {count[1]} of 100 steps")

    def nans(self, deviation):
        pairs = [(alpha_at(time), alpha_at(following)) for time, following in steps()]
        return sum(torch.isnan(torch.sqrt(1 - after - deviation(alpha, after) ** 2)).item() for alpha, after in pairs)


class B2_8:
    """Noise is added where `time_next > 0`: a step to time 0 gets none, though 0 is still a noisy time. With all 1000
    steps there is such a step, with the printed 100 there is none.

    `time_next >= 0`."""

    lines, severity, until = "514", WRONG, "diffusion"

    def failure(self):
        silent = [time for time, following in steps(1000) if not following > 0]
        return seen(silent == [1, 0], f"of 1000 steps those from {silent} add no noise")

    def mended(self):
        silent = [time for time, following in steps(1000) if not following >= 0]
        return seen(silent == [0], f"that from {silent} alone, which ends at the image")


class B2_9:
    """The estimate of the image is not clipped: at t = 999 it divides by 0.00635 whatever is wrong in the estimate of
    the noise.

    Clipped to the range of the data, or thresholded."""

    lines, severity, until = "510", WRONG, "diffusion"

    def failure(self):
        error = self.estimates(torch.tensor(0.01)).item()
        told = f"noise estimated 0.01 too low at t = 999 moves a pixel by {error:.2f}, its range is 2"
        return seen(error > 1.5, told)

    def mended(self):
        worst = self.estimates(torch.linspace(-0.05, 0.05, 11)).clip(-1, 1).abs().max().item()
        return seen(worst == 1, f"errors of up to 0.05 leave the pixel within {worst:.0f}")

    def estimates(self, error):
        """Of a pixel that is 0, at t = 999."""
        noise, alpha = 0.3, alphas_cumprod[999]
        x = (1 - alpha).sqrt() * noise
        return (x - (1 - alpha).sqrt() * (noise - error)) / alpha.sqrt()


class B2_10:
    """`extract` looks its coefficients up on the host in every step and sends them back, all 1000 frames are brought to
    the host; no eval(), no average of the weights, no clipping of gradients.

    Coefficients where the times are; the loop is one `lax.scan` that keeps what was asked for."""

    lines, severity, until = "240-255, 390-393", HAZARD, "diffusion"

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
        t = torch.zeros(3, dtype=torch.long, device="meta")
        out = betas.to("meta").gather(-1, t)
        loop = lambda img: jax.lax.scan(lambda img, beta: (0.99 * img, None), img, jnp.ones(1000))[0]
        last = jax.eval_shape(loop, jnp.zeros((16, 28, 28, 1)))
        fine = out.device == t.device and last.shape == (16, 28, 28, 1)
        return seen(fine, f"looked up on {out.device}; one program for 1000 steps returns {last.shape}")


class B2_20:
    """Progressive generation feeds the network's output back as its next input: what a denoiser returns is noise, not a
    cleaner image.

    The frames of a real sampler."""

    lines, severity, until = "583-587", WRONG, "diffusion"

    def failure(self):
        current = torch.randn(64, dtype=torch.float64)
        for step in range(10):
            current = self.denoiser(current, step)
        off = (current - 0.7).abs().mean().item()
        return seen(off > 0.1, f"a perfect denoiser of images that are 0.7 everywhere: {off:.1e} off after 10 steps")

    def mended(self):
        x = torch.randn(64, dtype=torch.float64)
        for time, following in steps(10):
            noise, alpha, after = self.denoiser(x, time), alpha_at(time), alpha_at(following)
            x0 = (x - torch.sqrt(1 - alpha) * noise) / torch.sqrt(alpha)
            x = torch.sqrt(after) * x0 + torch.sqrt(1 - after) * noise
        off = (x - 0.7).abs().mean().item()
        return seen(off < 1e-9, f"{off:.0e} off after 10 steps of DDIM")

    def denoiser(self, x, time):
        """The exact noise in x, where every pixel of every image is 0.7."""
        alpha = alphas_cumprod[time]
        return (x - torch.sqrt(alpha) * 0.7) / torch.sqrt(1 - alpha)
