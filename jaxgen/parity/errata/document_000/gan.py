"""The fragments of a DCGAN and of a Wasserstein GAN."""

import jax.numpy as jnp
import numpy as np

from jaxgen import find, objectives
from jaxgen import nn as layers
from jaxgen.errors import needs
from jaxgen.functional import Functional
from jaxgen.parity.errata.ours import begun, mean_of_samples, shape_of_samples, trained
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

    `wgan_gp`, or `--objective wasserstein_gp` of the other GANs: the critic minimises fake - real, without a Sigmoid,
    the generator minimises -fake. It makes collapse rarer."""

    lines, severity = "23, 28-29", WRONG

    def failure(self):
        gap = self.printed(lambda real, fake: real.mean() - fake.mean())
        return seen(gap < -4.9, f"data at 5, fakes at 0: the critic scores data {-gap:.2f} below fakes")

    def mended(self):
        given = dict(size=2, channels=1, hidden=(8,), objective="wasserstein_gp", turns=2, penalty=100.0)
        family, state = begun("mlp_gan", **given)
        data = {"image": jnp.full((16, 2, 2, 1), 3.0)}
        state, last = trained(family, state, data, 200, lr=0.02, betas=(0.5, 0.9))
        gap, fake = last["disc_real"] - last["disc_fake"], mean_of_samples(family, state)
        told = f"4 pixels at 3, fakes learn to be at {fake:.2f}: data {gap:.2f} above fakes, their distance is 4"
        return seen(fake > 0.9 and abs(gap - 4) < 0.2, told)

    def printed(self, criterion):
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

    `wgan_gp`, `--objective wasserstein_gp`: weights (N,) for images of any number of axes, one slope an image over all
    of them, the factor outside (`--penalty`), the fakes held."""

    lines, severity = "31", HAZARD

    def failure(self):
        looked, critic = [], nn.Linear(6, 1)
        critic.register_forward_pre_hook(lambda layer, args: looked.append(tuple(args[0].shape)))
        gradient_penalty(critic, torch.randn(4, 6), torch.randn(4, 6))
        unequal = lambda: gradient_penalty(nn.Flatten(), torch.randn(4, 1, 2, 2), torch.randn(3, 1, 2, 2))
        told = raised(RuntimeError, "must match the size", unequal)
        told = f"of 4 flat images the critic sees {looked[0]}; batches of 4 and 3: {told}"
        return seen(looked == [(4, 1, 4, 6)], told)

    def mended(self):
        def told(shape, weight):
            """Of white images and black ones, by a critic whose slope at an image of gray alpha is 4 alpha."""
            critic = lambda net, x: 2 * (net(x) ** 2).sum(1) / np.sqrt(x[0].size)
            given = layers.Flatten(), critic, jnp.ones(shape), jnp.zeros(shape), jnp.array([0, 0.25, 0.5, 1])
            return objectives.discriminator(objectives.named("wasserstein_gp"), *given, weight)[1]

        flat, images, free = told((4, 6), 10.0), told((4, 8, 8, 3), 10.0), told((4, 6), 0.0)
        values = [float(each["penalty"]) for each in (flat, images)]
        factor = float((flat["disc_loss"] - free["disc_loss"]) / flat["penalty"])
        fits = np.allclose(values, (1 + 0 + 1 + 9) / 4) and np.isclose(factor, 10)
        told = "slopes 0, 1, 2, 4: penalty {:.2f} flat, {:.2f} of images, in the loss {:.0f} times"
        return seen(fits, told.format(*values, factor))


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
