"""Accelerated sampling. Its mended form is `--sampler ddim --spacing documented` (`jaxgen/diffusion/multistep.py`), and
`torch_ref/diffusion/process.py`, line by line."""

import jax.numpy as jnp
import numpy as np

from jaxgen import find
from jaxgen.diffusion import multistep, samplers, schedules
from jaxgen.errors import needs
from jaxgen.parity.errata.rows import STOPS, WRONG, raised, seen

torch = needs("torch", "verify")

alphas_cumprod = torch.cumprod(1 - torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64), 0)


def steps(sampling_timesteps=100, timesteps=1000):
    """The printed (time, next time) of accelerated sampling; the last next time is -1, that of the image."""
    times = torch.linspace(-1, timesteps - 1, steps=sampling_timesteps + 1).int().tolist()[::-1]
    return list(zip(times[:-1], times[1:], strict=True))


def alpha_at(time):
    return alphas_cumprod[time] if time >= 0 else torch.ones((), dtype=torch.float64)


def path(sampling_steps=100):
    """Ours, through the points that are printed."""
    return schedules.discrete(schedules.linear(1000), schedules.documented(1000, sampling_steps))


def accelerated(sampling_steps=100):
    """torch_ref's."""
    return needs("torch_ref.diffusion.process", "verify").AcceleratedDiffusion(1000, sampling_steps)


class B2_6:
    """The number of sampling steps is overwritten by a tensor of them, from which `linspace` then cannot count.

    It stays an int; so many and other steps are options, `--sampling-steps` and `--spacing`."""

    lines, severity = "487-491, 500", STOPS

    def failure(self):
        overwritten = torch.linspace(0, 999, 100, dtype=torch.long)
        return raised(TypeError, "steps=Tensor", lambda: torch.linspace(-1, 999, steps=overwritten + 1))

    def mended(self):
        visited = []
        model = lambda x, t: visited.append(int(t[0])) or x
        accelerated(100).ddim_sample(model, torch.zeros(1, 1, 2, 2), noise=lambda i: 0.0)
        ours = schedules.documented(1000, 100).astype(int).tolist()
        told = f"{len(visited)} steps from {visited[0]} by {visited[1]} to {visited[-1]}, then the image"
        return seen(ours == [*visited, -1] == [999, *(following for _, following in steps(100))], told)


class B2_7:
    """Stochastic DDIM takes eta itself for the noise's deviation: sqrt(1 - alpha' - eta^2) is NaN in the steps next to
    the image at eta = 0.5, in all of them at eta = 1.

    sigma = eta sqrt((1 - alpha') / (1 - alpha) (1 - alpha / alpha')), sqrt(1 - alpha' - sigma^2) (Song et al.,
    2021)."""

    lines, severity = "512, 514", WRONG

    def failure(self):
        count = {eta: self.nans(eta) for eta in (0.5, 1.0)}
        return seen(0 < count[0.5] < 100 and count[1.0] == 100, f"NaN in {count[0.5]} and {count[1.0]} of 100 steps")

    def mended(self):
        rng = np.random.default_rng(0)
        x, noise = rng.normal(size=(1, 2, 4, 1)), rng.normal(size=(100, 1, 2, 4, 1))
        have = {eta: self.both(x, noise, eta) for eta in (0.5, 1.0)}
        apart = max(abs(ours - theirs).max() for ours, theirs in have.values())
        off = max(abs(ours - self.closed_form(x, noise, eta)).max() for eta, (ours, _) in have.items())
        return seen(max(apart, off) < 1e-9, f"of normal data, eta 0.5 and 1, {off:.0e} off the closed form")

    def nans(self, eta):
        return sum(torch.isnan(torch.sqrt(1 - alpha_at(following) - eta**2)).item() for _, following in steps())

    def both(self, x, noise, eta):
        """Images of 100 steps by both, where the data are normal: the noise in x is then told by sigma x."""
        left = jnp.asarray(schedules.linear(1000))
        denoise = lambda x, node: node.alpha * x
        ours = samplers.ddim(denoise, jnp.asarray(x), path(), lambda i: jnp.asarray(noise)[i], eta)
        model = lambda x, t: float(jnp.sqrt(1 - left[int(t[0])])) * x
        theirs = accelerated().ddim_sample(model, torch.from_numpy(x), lambda i: torch.from_numpy(noise[i]), eta)
        return np.asarray(ours), theirs.numpy()

    def closed_form(self, x, noise, eta):
        """Of each step x' = (alpha alpha' + sigma sqrt(sigma'^2 - s^2)) x + s z, where s is eq. 16 of the paper."""
        left = np.append(schedules.linear(1000), 1.0)[[time for time, _ in steps()] + [-1]]
        for a, b, z in zip(left[:-1], left[1:], noise, strict=True):
            sigma = eta * np.sqrt((1 - b) / (1 - a) * (1 - a / b))
            x = (np.sqrt(a * b) + np.sqrt((1 - a) * (1 - b - sigma**2))) * x + sigma * z
        return x


class B2_8:
    """Noise is added where `time_next > 0`: a step to time 0 gets none, though 0 is still a noisy time. With all 1000
    steps there is such a step, with the printed 100 there is none.

    `time_next >= 0`; in jaxgen a step's noise is what the point it goes to has, which is none at the image alone."""

    lines, severity = "514", WRONG

    def failure(self):
        silent = [time for time, following in steps(1000) if not following > 0]
        return seen(silent == [1, 0], f"of 1000 steps those from {silent} add no noise")

    def mended(self):
        asked = []
        noise = lambda i: asked.append(i) or torch.zeros(1)
        accelerated(1000).ddim_sample(lambda x, t: x, torch.zeros(1, 1, 1, 1), noise, eta=1.0)
        silent = [i for i in range(1000) if i not in asked]
        ours = multistep.ddim_table(path(1000), 1.0).noise
        to_zero, posterior = ours[-2] ** 2, accelerated().posterior_variance[1].item()
        fine = np.flatnonzero(ours == 0).tolist() == silent == [999] and abs(to_zero / posterior - 1) < 1e-9
        return seen(fine, f"of 1000 steps the last; that to time 0 adds {to_zero:.1e}, the posterior's variance")


class B2_9:
    """The estimate of the image is not clipped: at t = 999 it divides by 0.00635 whatever is wrong in the estimate of
    the noise.

    `--bounds clip`, to the range of the data, or `dynamic`, thresholded (Saharia et al., 2022)."""

    lines, severity = "510", WRONG

    def failure(self):
        noise, alpha = 0.3, alphas_cumprod[999]
        x, pred_noise = (1 - alpha).sqrt() * noise, noise - 0.01
        x0_pred = ((x - torch.sqrt(1 - alpha) * pred_noise) / torch.sqrt(alpha)).item()
        told = f"noise estimated 0.01 too low at t = 999 moves a pixel by {x0_pred:.2f}, its range is 2"
        return seen(x0_pred > 1.5, told)

    def mended(self):
        free, clipped, dynamic = (self.estimate(bounds, error=0.05) for bounds in ("none", "clip", "dynamic"))
        moved = f"{free.max():.1f}, clipped by {clipped.max():.0f}, thresholded by {dynamic.max():.0f}"
        return seen(free.min() > 5 and clipped.max() == 1 and dynamic.max() <= 1, f"0.05 too low moves it by {moved}")

    def estimate(self, bounds, error):
        """By a family whose net is that far off: of pixels that are 0, from t = 999."""
        node, noise = path()[0], 0.3
        family = find.family("ddpm")(size=8, width=8, bounds=bounds)
        family.net = lambda x, time, label: jnp.full_like(x, noise - error)
        return np.asarray(family.denoiser({})(jnp.full((1, 2, 2, 1), node.sigma * noise), node)).ravel()
