"""The GANs: samples, and the conditional one."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen import find
from jaxgen.errors import needs
from jaxgen.functional import Functional
from jaxgen.parity import pairs
from jaxgen.parity.errata.ours import begun, filled
from jaxgen.parity.errata.rows import HAZARD, STOPS, raised, seen

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


class B2_15:
    """The conditional GAN joins ten channels of labels to noise and images, but its nets take 100 and 1 channels; what
    is called an embedding is one-hot; nothing is trained.

    `cgan`: nets of 110 and 11 channels, trained as the DCGAN; samples have the labels in turn. Labels are one-hot."""

    lines, severity = "469-481", STOPS

    def failure(self):
        family, z = find.twin("dcgan")(width=2), torch.randn(2, 100, 1, 1)
        noise = raised(RuntimeError, "100 channels", lambda: family.gen(self.add_condition(z)))
        image = self.add_condition(torch.randn(2, 1, 64, 64))
        return f"{noise}; images: " + raised(RuntimeError, "to have 1 channels", lambda: family.disc(image))

    def mended(self):
        family, state = begun("cgan", width=2, latent=100, classes=10, initial="torch")
        batch = pairs.at(pairs.batches(family, 1), 0)
        new, _ = pairs.updates(family, family.optimizers())(state, batch, family.draw(jax.random.key(0), batch))
        pick = lambda params: [params[net]["main"]["0"]["weight"] for net in ("gen", "disc")]
        (gen, disc), learned = pick(state.params), pick(new.params)
        channels, moved = (gen.shape[0], disc.shape[1]), min(abs(gen - learned[0]).max(), abs(disc - learned[1]).max())
        draws = family.draw_sample(jax.random.key(0), 12)
        draws["z"] = jnp.repeat(draws["z"][:1], 12, 0)
        images = pairs.quick(family.sample)(state.params, state.stats, draws)
        same, other = (float(abs(images[0] - images[i]).max()) for i in (10, 1))
        told = f"channels {channels}; both nets learn; of one noise images {images.shape}, by label {other:.1e} apart"
        return seen(channels == (110, 11) and moved > 0 and same < 1e-12 < 1e-4 < other, told)

    def add_condition(self, x, labels=(3, 7)):
        """As printed."""
        batch_size = x.size(0)
        label_embedding = nn.functional.one_hot(torch.tensor(labels), 10).float()
        label_embedding = label_embedding.view(batch_size, 10, 1, 1)
        label_embedding = label_embedding.expand(-1, -1, x.size(2), x.size(3))
        return torch.cat([x, label_embedding], dim=1)
