"""The diffusion of document 002, mended: its tables in double precision, its noise given, the variance of DDIM that of
Song et al. (2021), noise also on the way to t = 0. Each mend is an erratum (B2.6 to B2.9)."""

import torch
from torch.nn import functional as F

from torch_ref.diffusion.schedules import linear


class DiffusionProcess:
    """x_0 (N, C, H, W), t (N,) integers from 0 to timesteps - 1, noise as x_0."""

    def __init__(self, timesteps=1000, alphas_cumprod=None):
        self.timesteps = timesteps
        self.alphas_cumprod = linear(timesteps) if alphas_cumprod is None else alphas_cumprod
        self.alphas_cumprod_prev = F.pad(self.alphas_cumprod[:-1], (1, 0), value=1.0)
        self.alphas = self.alphas_cumprod / self.alphas_cumprod_prev
        self.betas = 1.0 - self.alphas
        self.posterior_variance = self.betas * (1.0 - self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod)

    def q_sample(self, x_start, t, noise):
        """The forward process: noise is added to the data."""
        alpha, sigma = self.at(t, x_start)
        return alpha * x_start + sigma * noise

    def at(self, t, x):
        """alpha and sigma of each row."""
        left = self.alphas_cumprod
        return self.extract(left.sqrt(), t, x), self.extract((1.0 - left).sqrt(), t, x)

    def p_losses(self, denoise_model, x_start, t, noise, loss_type="l1"):
        """The training loss of a model that predicts the noise."""
        return LOSSES[loss_type](noise, denoise_model(self.q_sample(x_start, t, noise), t))

    @torch.no_grad()
    def p_sample(self, model, x, t_index, noise):
        """One step of ancestral sampling."""
        t = torch.full(x.shape[:1], t_index, device=x.device)
        beta, spread = (self.extract(table, t, x) for table in (self.betas, self.posterior_variance))
        recip, sigma = (self.extract(table, t, x) for table in ((1.0 / self.alphas).sqrt(), self.sigmas))
        mean = recip * (x - beta * model(x, t) / sigma)
        return mean if t_index == 0 else mean + spread.sqrt() * noise

    @property
    def sigmas(self):
        return (1.0 - self.alphas_cumprod).sqrt()

    @torch.no_grad()
    def p_sample_loop(self, model, img, noise):
        """From noise to data; `noise(i)` is that of the i-th step. -> all images on the way."""
        imgs = []
        for i in reversed(range(self.timesteps)):
            img = self.p_sample(model, img, i, noise(len(imgs)))
            imgs.append(img)
        return imgs

    def extract(self, a, t, x):
        """The values of the table at t, of the type of x, to be multiplied with it."""
        return a.to(x.device)[t.long()].to(x.dtype).reshape(-1, *((1,) * (x.ndim - 1)))


class AcceleratedDiffusion(DiffusionProcess):
    """Sampling over some of the steps."""

    def __init__(self, timesteps=1000, sampling_timesteps=100, alphas_cumprod=None):
        super().__init__(timesteps, alphas_cumprod)
        self.sampling_timesteps = sampling_timesteps

    @torch.no_grad()
    def ddim_sample(self, model, x, noise, eta=0.0):
        """From noise to data over `sampling_timesteps` steps; `noise(i)` is that of the i-th step."""
        times = torch.linspace(-1, self.timesteps - 1, steps=self.sampling_timesteps + 1, dtype=torch.float64)
        times = list(reversed(times.int().tolist()))
        for i, (time, time_next) in enumerate(zip(times[:-1], times[1:], strict=True)):
            alpha = self.alphas_cumprod[time]
            alpha_next = self.alphas_cumprod[time_next] if time_next >= 0 else torch.ones_like(alpha)
            pred_noise = model(x, torch.full(x.shape[:1], time, device=x.device))
            x0_pred = (x - (1 - alpha).sqrt() * pred_noise) / alpha.sqrt()
            sigma = eta * ((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)).sqrt()
            dir_xt = (1 - alpha_next - sigma**2).sqrt() * pred_noise
            x = alpha_next.sqrt() * x0_pred + dir_xt + (sigma * noise(i) if time_next >= 0 else 0)
        return x


LOSSES = {"l1": F.l1_loss, "l2": F.mse_loss, "huber": F.smooth_l1_loss}
