"""What its players minimise."""

import jax
import jax.numpy as jnp

from jaxgen import objectives
from jaxgen.errors import needs
from jaxgen.parity.errata.ours import begun, mean_of_samples, trained
from jaxgen.parity.errata.rows import HAZARD, WRONG, seen

torch = needs("torch", "verify")


def small():
    """The documented nets on 6 x 6 pixels."""
    return needs("torch_ref.families.mlp_gan", "verify").Family(size=6, latent=5, hidden=(7, 9))


def loss_fn(real_samples, fake_samples):
    """As printed."""
    real_loss = torch.mean((real_samples - 1) ** 2)
    fake_loss = torch.mean(fake_samples**2)
    return real_loss + fake_loss


class B3_6:
    """`loss_fn(real_samples, D(real_samples))` compares pixels with 1 and takes D's answers for fakes: D learns to
    answer 0 to everything, G to draw white images.

    `--objective least_squares` of `mlp_gan` and others (Mao et al., 2017): D, without a Sigmoid, minimises
    ((D(x) - 1)^2 + D(G(z))^2) / 2, G minimises (D(G(z)) - 1)^2 / 2."""

    lines, severity = "100-103, 111-120", WRONG

    def failure(self):
        real, white = self.printed()
        told = f"after 100 steps on black images D(x) = {real:.2f}, the fakes' pixels are {white:.2f}"
        return seen(real < 0.1 and white > 0.9, told)

    def mended(self):
        family, state = begun("mlp_gan", size=6, channels=1, latent=5, hidden=(7, 9), objective="least_squares")
        black = {"image": jnp.full((16, 6, 6, 1), -1.0)}
        state, told = trained(family, state, black, 100, lr=0.005, betas=(0.5, 0.999))
        real, white = told["disc_real"], mean_of_samples(family, state)
        return seen(0.3 < real < 0.8 and white < -0.5, f"D(x) = {real:.2f}, the fakes' pixels are {white:.2f}")

    def printed(self, steps=100):
        """D of black images, and the mean pixel of the fakes, in the end."""
        family, real = small(), torch.full((16, 36), -1.0)
        players = {name: self.adam(net) for name, net in family.named_children()}
        for _ in range(steps):
            fake = family.gen(torch.randn(16, 5))
            held = fake.detach()
            self.step(players["disc"], loss_fn(real, family.disc(real)) + loss_fn(held, family.disc(held)))
            self.step(players["gen"], loss_fn(fake, family.disc(fake)))
        return family.disc(real).mean().item(), fake.mean().item()

    def adam(self, net):
        return torch.optim.Adam(net.parameters(), lr=0.005, betas=(0.5, 0.999))

    def step(self, optimizer, loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class B3_8:
    """The text speaks of cross-entropy, the code squares; all generative models are called GANs, which are then
    compared with themselves.

    The printed formulas of section 4.1 are right, and are `objective="bce"` of `mlp_gan`; GANs are one kind of
    several."""

    lines, severity = "6, 16, 34, 44-47, 100-103", HAZARD

    def failure(self):
        squares, entropy = self.printed()
        return seen(abs(squares - entropy) > 0.1, f"squares {squares:.3f}, cross-entropy {entropy:.3f}")

    def mended(self):
        _, entropy = self.printed()
        logit = lambda p: jnp.log(jnp.asarray(p) / (1 - jnp.asarray(p)))
        ours = float(objectives.bce.disc(logit([0.8, 0.6]), logit([0.3, 0.1])))
        slope = float(jax.grad(lambda x: objectives.bce.gen(x[None]))(0.0))
        return seen(abs(ours - entropy) < 1e-6 and slope < 0, f"cross-entropy {ours:.3f} in jaxgen")

    def printed(self):
        """The code and the formula, of the same answers D(x) and D(G(z))."""
        real, fake = torch.tensor([0.8, 0.6]), torch.tensor([0.3, 0.1])
        return loss_fn(real, fake).item(), (-real.log().mean() - (1 - fake).log().mean()).item()
