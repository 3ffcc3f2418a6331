"""The noising function, and the trainer conditioned on text."""

import jax.numpy as jnp
import numpy as np

from jaxgen import find
from jaxgen.diffusion import schedules
from jaxgen.errors import needs
from jaxgen.parity.errata.rows import HAZARD, STOPS, STOPS_OR_WRONG, WRONG, raised, seen

torch = needs("torch", "verify")
nn, F = torch.nn, torch.nn.functional


def forward_diffusion_sample(x0, t, device="cuda"):
    """As printed."""
    sqrt_alpha_hat = torch.exp(-0.25 * t**2 * 0.02)
    sqrt_one_minus_alpha_hat = torch.sqrt(1 - sqrt_alpha_hat**2)
    noise = torch.randn_like(x0)
    noisy_img = sqrt_alpha_hat.to(device) * x0.to(device) + sqrt_one_minus_alpha_hat.to(device) * noise.to(device)
    return noisy_img, noise


class B0_2:
    """`F`, `UNet` and `CLIPTextEncoder` are nowhere defined; the trainer is no nn.Module and moves nothing to a device.

    One module that holds both nets: it has parameters, and moves as a whole."""

    lines, severity, until = "40", STOPS, "text"

    def failure(self):
        class TextConditionedDiffusion:
            def __init__(self):
                self.unet, self.text_encoder = nn.Linear(2, 2), nn.Linear(2, 2)

        undefined = raised(NameError, "'F' is not defined", lambda: eval("F.mse_loss", {"torch": torch}))
        return f"{undefined}; " + raised(AttributeError, "'to'", lambda: TextConditionedDiffusion().to("cpu"))

    def mended(self):
        both = nn.ModuleDict({"unet": nn.Linear(2, 2), "text_encoder": nn.Linear(2, 2)}).to("meta")
        devices = {x.device.type for x in both.parameters()}
        return seen(devices == {"meta"}, f"moved to another device: all {len(list(both.parameters()))} tensors")


class B0_3:
    """The UNet is made for 4 channels, "time step and image", but is called with the 3 of an image and with the time.

    3 channels (recipe T08 without its text); the time enters as an embedding that is added to the maps."""

    lines, severity = "40", STOPS

    def failure(self):
        return raised(RuntimeError, "to have 4 channels", lambda: nn.Conv2d(4, 8, 3)(torch.randn(2, 3, 8, 8)))

    def mended(self):
        unet, x = needs("torch_ref.backbones.documented", "verify").UNet(3, 3, width=8), torch.randn(1, 3, 8, 8)
        early, late = (unet(x, torch.tensor([time])) for time in (0, 999))
        apart = (early - late).abs().max().item()
        channels = find.family("ddpm").recipes["T08"].printed["channels"]
        told = f"images {tuple(early.shape)}, {channels} channels in T08; times 0 and 999 are {apart:.2f} apart"
        return seen(early.shape == x.shape and channels == 3 and apart > 1e-3, told)


class B0_4:
    """Times of shape (B,) are broadcast along the image's width: an error, unless B is the width (64 of 64 pixels),
    where column j silently gets the noise of image j. A plain number is an error too.

    The factors of a row's time have the shape (B, 1, 1, 1), whatever B and the width (`q_sample`, and `ddpm`)."""

    lines, severity = "25", STOPS_OR_WRONG

    def failure(self):
        images = lambda count: torch.full((count, 1, 8, 8), 1e6)
        number = raised(TypeError, "must be Tensor, not float", lambda: forward_diffusion_sample(images(4), 5, "cpu"))
        four = raised(RuntimeError, "must match", lambda: forward_diffusion_sample(images(4), torch.rand(4), "cpu"))
        factors = forward_diffusion_sample(images(8), 5 * torch.arange(8.0), "cpu")[0] / 1e6
        along_width = factors[0, 0, 0].std() > 0.1 and factors[:, 0, 0, 0].std() < 1e-4
        seen(along_width, "each image has a factor of its own")
        return f"{number}; B = 4, width 8: {four}; B = 8: one factor a column"

    def mended(self):
        both = [self.factors(np.linspace(0, 999, count).astype(int)) for count in (4, 8)]
        own = all(np.ptp(x, (1, 2, 3)).max() == 0 and np.diff(x[:, 0, 0, 0]).max() < -1e-3 for x, _ in both)
        apart = max(abs(ours - theirs).max() for ours, theirs in both)
        return seen(own and apart < 1e-12, "B = 4 and B = 8, width 8: one factor an image")

    def factors(self, time):
        """(B, 8, 8, 1) of what is left of images that are 1, without noise: by the family, by torch_ref."""
        family = find.family("ddpm")(size=8, width=8, beta_schedule="document_000", predicts="v")
        x_0 = np.ones((len(time), 8, 8, 1))
        alpha, _ = family.at(jnp.asarray(time), jnp.asarray(x_0))
        theirs = needs("torch_ref.diffusion.schedules", "verify").document_000(1000)
        process = needs("torch_ref.diffusion.process", "verify").DiffusionProcess(1000, theirs)
        images = torch.from_numpy(x_0).permute(0, 3, 1, 2)
        noisy = process.q_sample(images, torch.from_numpy(time), torch.zeros_like(images))
        return np.asarray(alpha * x_0), noisy.permute(0, 2, 3, 1).numpy()


class B0_5:
    """`exp(-0.25 t^2 0.02)` is the variance-preserving schedule without its term -t beta_0 / 2, and with 0.02 for a
    difference of betas of 19.9: t in [0, 1] hardly adds noise, t in 0..999 soon leaves nothing of the image.

    `--beta-schedule variance_preserving`: exp(-t^2 (beta_1 - beta_0) / 4 - t beta_0 / 2), t in [0, 1], beta from 0.1 to
    20 (Song et al., 2021). The printed one, with t in (0, 30], is `document_000`."""

    lines, severity = "25", WRONG

    def failure(self):
        left = lambda t: torch.exp(-0.25 * t**2 * 0.02)  # of the image
        steps = left(torch.arange(1000.0))
        gone = (steps < 0.01).float().mean().item()
        told = f"t = 1 leaves {left(torch.tensor(1.0)):.3f} of the image; of 1000 steps {gone:.1%} leave less than 0.01"
        return seen(left(torch.tensor(1.0)) > 0.99 and gone > 0.95 and (steps[145:] == 0).all(), told)

    def mended(self):
        start, end = schedules.vp_alpha([0.0, 1.0])
        tables = [schedules.variance_preserving(1000), schedules.document_000(1000)]
        falls = all((np.diff(left) < 0).all() and 0 < left[-1] < left[0] < 1 for left in tables)
        last = tables[1][-1] ** 0.5
        printed = torch.exp(torch.tensor(-0.25 * 30.0**2 * 0.02, dtype=torch.float64)).item()
        told = f"from {start:.0f} at t = 0 to {end:.7f} at t = 1; document_000, t up to 30, ends at {last:.4f}"
        ends = abs(end - 0.0065716) < 1e-7 and abs(tables[0][-1] ** 0.5 - end) < 1e-12 and abs(last - printed) < 1e-12
        return seen(start == 1 and falls and ends, told)


class B0_6:
    """The default device is "cuda"; the noisy image lies there, the noise that is the target on the image's device.

    No device at all: noise and factors are where the image is."""

    lines, severity = "25, 40", HAZARD

    def failure(self):
        noisy, noise = forward_diffusion_sample(torch.randn(2, 3, 4, 4), torch.rand(1), device="meta")
        return raised(RuntimeError, "not on the expected device", lambda: F.mse_loss(noisy, noise))

    def mended(self):
        process = needs("torch_ref.diffusion.process", "verify").DiffusionProcess(10)
        x0, t = torch.randn(2, 3, 4, 4, device="meta"), torch.zeros(2, dtype=torch.long, device="meta")
        noise = torch.randn_like(x0)
        loss = process.p_losses(lambda x, t: x, x0, t, noise, "l2")
        return seen(loss.device == noise.device == x0.device, f"image, noise and loss on {x0.device}")


class B0_10:
    """The text encoder computes gradients that no optimiser uses and nobody clears; without dropped captions there is
    no classifier-free guidance, and there is no sampler.

    The encoder is frozen (in jaxgen: a net that no player trains); a tenth of the captions is dropped; a sampler."""

    lines, severity, until = "40", WRONG, "text"

    def failure(self):
        sizes, before, encoder = self.steps(frozen=False)
        kept = all(torch.equal(*pair) for pair in zip(before, encoder.parameters(), strict=True))
        told = f"the encoder's gradients grow, {sizes[0]:.2f}, {sizes[1]:.2f}, {sizes[2]:.2f}, its weights stay"
        return seen(kept and sizes[0] < sizes[1] < sizes[2], told)

    def mended(self):
        sizes, *_ = self.steps(frozen=True)
        dropped = (torch.rand(10_000, 1) < 0.1).float().mean().item()
        return seen(not any(sizes) and 0.08 < dropped < 0.12, f"no gradients; {dropped:.1%} of the captions dropped")

    def steps(self, frozen):
        """The size of the encoder's gradient after each of three of the printed steps, on the same batch."""
        unet, encoder, sizes = nn.Linear(4, 4), nn.Linear(3, 4).requires_grad_(not frozen), []
        optimizer, captions = torch.optim.AdamW(unet.parameters(), lr=1e-4), torch.ones(2, 3)
        before = [x.detach().clone() for x in encoder.parameters()]
        for _ in range(3):
            loss = F.mse_loss(unet(encoder(captions)), torch.ones(2, 4))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sizes.append(0.0 if encoder.weight.grad is None else encoder.weight.grad.norm().item())
        return sizes, before, encoder
