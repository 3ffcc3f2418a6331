"""The GANs: samples, the critic with gradient penalty, the conditional one."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import core, find
from jaxgen.core import Player
from jaxgen.errors import needs
from jaxgen.functional import Functional
from jaxgen.parity.errata.ours import filled
from jaxgen.parity.errata.rows import HAZARD, STOPS, WRONG, raised, seen

torch = needs("torch", "verify")
nn = torch.nn


def twin():
    """The documented nets in a small size."""
    cls = needs("torch_ref.families.dcgan", "verify").Family
    return cls(**cls.small)


class B2_11:
    """Samples are drawn in training mode: an image depends on the others of its batch, and sampling moves the running
    statistics.

    Samples use the running statistics and move nothing (level `samples` of `jaxgen verify`)."""

    lines, severity = "164-169", HAZARD

    def failure(self):
        gen, z = twin().gen, torch.randn(8, 5, 1, 1)
        with torch.no_grad():
            apart = (gen(z)[:4] - gen(z[:4])).abs().max().item()
        moved = gen.main[1].num_batches_tracked.item()
        told = f"four images alone and among others {apart:.1e} apart; statistics moved {moved} times"
        return seen(apart > 1e-4 and moved == 2, told)

    def mended(self):
        cls = find.family("dcgan")
        family = Functional(cls(**cls.small))
        sample = jax.jit(lambda z: family.sample(*filled(family), {"z": z}))
        z = jnp.asarray(np.random.default_rng(1).normal(size=(7, 1, 1, 5)))
        apart = float(abs(sample(z[:4]) - sample(z[np.array([0, 4, 5, 6])]))[0].max())
        return seen(apart < 1e-12, f"among others {apart:.0e} apart in float64; a sample returns no statistics")


class B2_12:
    """The Wasserstein trainer takes the discriminator with its Sigmoid as critic: scores lie in (0, 1), the estimate of
    the distance stays below 1.

    The critic's scores are the logits before the Sigmoid."""

    lines, severity, until = "108, 417-420", WRONG, "GANs and VAEs"

    def failure(self):
        gap = self.gap(nn.Sigmoid())
        return seen(gap < 1, f"data at 5, fakes at 0: estimated {gap:.2f}, the Wasserstein distance is 5")

    def mended(self):
        gap = self.gap(nn.Identity())
        return seen(abs(gap - 5) < 1e-6, f"estimated {gap:.2f}")

    def gap(self, end):
        """What a critic of slope 1 estimates."""
        return (end(torch.full((8,), 5.0)) - end(torch.zeros(8))).mean().item()


class B2_13:
    """BatchNorm in the critic makes its score of one image depend on the others: the penalty's slopes are no longer
    those of single images.

    No norm, or one within an image (GroupNorm, LayerNorm)."""

    lines, severity, until = "92-105, 423-441", WRONG, "GANs and VAEs"

    def failure(self):
        slope = self.slope(nn.BatchNorm2d(8))
        return seen(slope > 1e-3, f"slope of the first score along another image: {slope:.1e}")

    def mended(self):
        slopes = [self.slope(norm) for norm in (nn.GroupNorm(1, 8), nn.Identity())]
        return seen(slopes == [0, 0], f"{slopes[0]:.0f} with GroupNorm, {slopes[1]:.0f} without a norm")

    def slope(self, norm):
        critic = nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1), norm, nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 4), nn.Flatten())
        x = torch.randn(4, 1, 8, 8, requires_grad=True)
        (slopes,) = torch.autograd.grad(critic(x)[0].sum(), x)
        return slopes[1:].flatten(1).norm(dim=1).max().item()


class B2_14:
    """All five turns of the critic see the same real images; the fakes are not detached, so that each turn also
    computes the generator's gradient for nothing; 100 latents are written in; no loss is kept.

    `Player(times=5)`: fresh rows each turn, and only the critic's gradient; `reuse=True` is the printed form."""

    lines, severity, until = "448-461", HAZARD, "GANs and VAEs"

    def failure(self):
        generator, critic, batches = nn.Linear(3, 4), nn.Linear(4, 1), []
        for real_imgs in torch.randn(2, 8, 4):
            for _ in range(5):
                batches.append(real_imgs.data_ptr())
                (critic(generator(torch.randn(8, 3))).mean() - critic(real_imgs).mean()).backward()
        wasted, count = generator.weight.grad.norm().item(), len(set(batches))
        told = f"10 turns saw {count} batches; the generator's gradient of {wasted:.2f} is never used"
        return seen(wasted > 0 and count == 2, told)

    def mended(self):
        family = SimpleNamespace(players={"critic": Player(trains=("critic",), times=5)})
        rows = [core.share(family, jnp.arange(40), turn).tolist() for turn in range(5)]
        fresh = len({row for turn in rows for row in turn})
        return seen(fresh == 40, f"5 turns of {len(rows[0])} rows saw {fresh} different ones")


class B2_15:
    """The conditional GAN joins ten channels of labels to noise and images, but its nets take 100 and 1 channels; what
    is called an embedding is one-hot; nothing is trained.

    Nets of 110 and 11 channels."""

    lines, severity, until = "469-481", STOPS, "GANs and VAEs"

    def failure(self):
        family, z = find.twin("dcgan")(width=2), torch.randn(2, 100, 1, 1)
        noise = raised(RuntimeError, "100 channels", lambda: family.gen(self.add_condition(z)))
        image = self.add_condition(torch.randn(2, 1, 64, 64))
        return f"{noise}; images: " + raised(RuntimeError, "to have 1 channels", lambda: family.disc(image))

    def mended(self):
        nets = needs("torch_ref.families.dcgan", "verify")
        gen, disc = nets.Generator(110, 1, 2), nets.Discriminator(11, 2)
        images = gen(self.add_condition(torch.randn(2, 100, 1, 1)))
        scores = disc(self.add_condition(images))
        return seen(scores.shape == (2,), f"images {tuple(images.shape)}, scores {tuple(scores.shape)}")

    def add_condition(self, x, labels=(3, 7)):
        """As printed."""
        batch_size = x.size(0)
        label_embedding = nn.functional.one_hot(torch.tensor(labels), 10).float()
        label_embedding = label_embedding.view(batch_size, 10, 1, 1)
        label_embedding = label_embedding.expand(-1, -1, x.size(2), x.size(3))
        return torch.cat([x, label_embedding], dim=1)
