"""The fragments of a DCGAN and of a Wasserstein GAN."""

import jax
import jax.numpy as jnp

from jaxgen import find
from jaxgen.errors import needs
from jaxgen.functional import Functional
from jaxgen.parity.errata.ours import shape_of_samples
from jaxgen.parity.errata.rows import HAZARD, STOPS, WRONG, raised, seen

torch = needs("torch", "verify")
nn = torch.nn


class B0_1:
    """Both nets are printed without line breaks, with middle layers "omitted" and without `forward`.

    Completed as document 002 prints them, in colour: `dcgan`, `--channels 3`."""

    lines, severity = "23", STOPS

    def failure(self):
        class Generator(nn.Module):
            def __init__(self, latent_dim=100):
                super().__init__()
                first = nn.ConvTranspose2d(latent_dim, 512, 4, 1, 0, bias=False)
                self.main = nn.Sequential(first, nn.BatchNorm2d(512), nn.ReLU(True), nn.Tanh())

        generator, z = Generator(), torch.randn(2, 100, 1, 1)
        told = raised(NotImplementedError, 'missing the required "forward"', lambda: generator(z))
        shape = tuple(generator.main(z).shape)
        return seen(shape == (2, 512, 4, 4), f"{told}; its layers alone make {shape}")

    def mended(self):
        shape = shape_of_samples(Functional(find.family("dcgan")(channels=3)))
        return seen(shape == (2, 64, 64, 3), f"samples {shape}")


class B0_7:
    """The Wasserstein criterion `real.mean() - fake.mean()`, minimised, teaches the critic to prefer fakes; the critic
    ends in a Sigmoid, the generator has no loss, and mode collapse is said to be solved.

    The critic minimises fake - real and has no Sigmoid; the generator minimises -fake. It makes collapse rarer."""

    lines, severity, until = "23, 28-29", WRONG, "GANs and VAEs"

    def failure(self):
        gap = self.trained(lambda real, fake: real.mean() - fake.mean())
        return seen(gap < -4.9, f"data at 5, fakes at 0: the critic scores data {-gap:.2f} below fakes")

    def mended(self):
        gap = self.trained(lambda real, fake: fake.mean() - real.mean())
        return seen(abs(gap - 5) < 0.1, f"data {gap:.2f} above fakes, which is their Wasserstein distance of 5")

    def trained(self, criterion):
        """How far above fakes a critic of slope at most 1 ends up to score the data."""
        critic, (real, fake) = nn.Linear(1, 1), (torch.full((8, 1), 5.0), torch.zeros(8, 1))
        optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
        for _ in range(20):
            optimizer.zero_grad()
            criterion(critic(real), critic(fake)).backward()
            optimizer.step()
            critic.weight.data.clamp_(-1, 1)
        return (critic(real) - critic(fake)).mean().item()


class B0_8:
    """The gradient penalty draws its mixing weights as (N, 1, 1, 1): flat images silently become N x N mixtures. It
    hides its factor of 10, needs batches of one size, and does not detach the fakes.

    Weights with as many axes as the images, one slope an image over all axes, the factor outside."""

    lines, severity, until = "31", HAZARD, "GANs and VAEs"

    def failure(self):
        looked, critic = [], nn.Linear(6, 1)
        critic.register_forward_pre_hook(lambda layer, args: looked.append(tuple(args[0].shape)))
        gradient_penalty(critic, torch.randn(4, 6), torch.randn(4, 6))
        unequal = lambda: gradient_penalty(nn.Flatten(), torch.randn(4, 1, 2, 2), torch.randn(3, 1, 2, 2))
        told = raised(RuntimeError, "must match the size", unequal)
        told = f"of 4 flat images the critic sees {looked[0]}; batches of 4 and 3: {told}"
        return seen(looked == [(4, 1, 4, 6)], told)

    def mended(self):
        def penalty(real, fake, alpha):
            x = alpha * real + (1 - alpha) * fake
            slopes = jax.vmap(jax.grad(lambda x: 3 * x.reshape(-1)[0]))(x)
            return ((jnp.linalg.norm(slopes.reshape(x.shape[0], -1), axis=1) - 1) ** 2).mean()

        shapes = (4, 6), (4, 8, 8, 3)
        values = [float(penalty(jnp.ones(s), jnp.zeros(s), jnp.full((4, *[1] * (len(s) - 1)), 0.3))) for s in shapes]
        return seen(values == [4.0, 4.0], f"a critic of slope 3, flat or on images: (3 - 1)^2 = {values}")


def gradient_penalty(discriminator, real_samples, fake_samples):
    """As printed."""
    alpha = torch.rand(real_samples.size(0), 1, 1, 1).to(real_samples.device)
    interpolates = (alpha * real_samples + (1 - alpha) * fake_samples).requires_grad_(True)
    d_interpolates = discriminator(interpolates)
    gradients = torch.autograd.grad(
        outputs=d_interpolates,
        inputs=interpolates,
        grad_outputs=torch.ones_like(d_interpolates),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients_norm = gradients.norm(2, dim=[1, 2, 3])
    return ((gradients_norm - 1) ** 2).mean() * 10
