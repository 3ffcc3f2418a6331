"""Its data, devices and training loop."""

import jax.numpy as jnp

from jaxgen import nn as layers
from jaxgen.errors import needs
from jaxgen.parity.errata.document_003.losses import loss_fn, small
from jaxgen.parity.errata.rows import STOPS, raised, seen

torch = needs("torch", "verify")
nn = torch.nn


def mended_loop(rows):
    """Two steps of the mended loop on so many rows -> how far the weights moved."""
    family, batch = small(), (torch.rand(rows, 1, 6, 6), torch.randn(rows, 5))
    before = [x.detach().clone() for x in family.parameters()]
    needs("torch_ref.documented.mlp_gan", "verify").train(family, [batch, batch])
    return max((x - y).abs().max().item() for x, y in zip(before, family.parameters(), strict=True))


class B3_1:
    r"""The quotes of `\"cuda\"` are escaped, a SyntaxError; `DataLoader`, `dataset` and `epochs` are nowhere defined.

    Plain quotes, an import and a data set."""

    lines, severity = "126-127, 137", STOPS

    def failure(self):
        line = 'device = torch.device(\\"cuda\\" if torch.cuda.is_available() else \\"cpu\\")'
        told = raised(SyntaxError, "after line continuation", lambda: compile(line, "document 003", "exec"))
        return f"{told}; " + raised(NameError, "'DataLoader'", lambda: eval("DataLoader(dataset)", {"torch": torch}))

    def mended(self):
        names = {"torch": torch}
        exec('device = torch.device("cuda" if torch.cuda.is_available() else "cpu")', names)
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(4, 2)), batch_size=2)
        return seen(len(loader) == 2, f"device {names['device']}, {len(loader)} batches")


class B3_2:
    """The loop takes the pairs of images and labels that a loader yields for images.

    `for real_samples, _ in dataloader`; in jaxgen a batch is a dict, {"image": ...}."""

    lines, severity = "108-109", STOPS

    def failure(self):
        return raised(AttributeError, "'list' object has no attribute 'to'", lambda: next(self.batches()).to("cpu"))

    def mended(self):
        real_samples, _ = next(self.batches())
        return seen(real_samples.shape == (4, 1, 28, 28), f"images {tuple(real_samples.shape)}")

    def batches(self):
        pairs = torch.utils.data.TensorDataset(torch.rand(4, 1, 28, 28), torch.zeros(4))
        return iter(torch.utils.data.DataLoader(pairs, batch_size=4))


class B3_3:
    """Images (N, 1, 28, 28) enter Linear(784) as they are.

    Flattened, in jaxgen in torch's order of channels, rows, columns (`nn.flatten`)."""

    lines, severity = "86, 111", STOPS

    def failure(self):
        first = nn.Linear(28 * 28, 1024)
        return raised(RuntimeError, "(112x28 and 784x1024)", lambda: first(torch.rand(4, 1, 28, 28)))

    def mended(self):
        x = torch.rand(4, 2, 28, 28)
        ours = layers.flatten(jnp.asarray(x.permute(0, 2, 3, 1).numpy()))
        return seen((ours == x.flatten(1).numpy()).all(), f"{ours.shape}, in torch's order")


class B3_4:
    """The nets themselves are asked to step; the optimisers and the BCELoss that are made are never used.

    The optimisers step (`torch_ref/documented/mlp_gan.py`)."""

    lines, severity = "117, 123, 132-134", STOPS

    def failure(self):
        return raised(AttributeError, "has no attribute 'step'", lambda: small().disc.step())

    def mended(self):
        moved = mended_loop(4)
        return seen(1e-4 < moved < 1e-3, f"two steps of Adam at 2e-4 move a weight by up to {moved:.1e}")


class B3_5:
    """With optimisers that step, the generator's backward goes a second time through a graph that is freed: the fakes
    were not detached.

    `detach()` in the discriminator's turn; in jaxgen each player has a gradient of its own."""

    lines, severity = "112-122", STOPS

    def failure(self):
        family = small()
        fake_samples = family.gen(torch.randn(4, 5))
        loss_fn(fake_samples, family.disc(fake_samples)).backward()
        again = loss_fn(fake_samples, family.disc(fake_samples))
        return raised(RuntimeError, "backward through the graph a second time", again.backward)

    def mended(self):
        moved = mended_loop(4)
        return seen(moved > 1e-4, f"two steps of both players, weights moved by up to {moved:.1e}")


class B3_7:
    """The noise is made on the CPU, the generator is on the device, in training and in sampling.

    Noise on the device of the weights; in jaxgen it is drawn where the step runs."""

    lines, severity = "112, 140", STOPS

    def failure(self):
        generator = small().gen.to("meta")  # a device that every machine has
        return raised(RuntimeError, "not on the expected device", lambda: generator(torch.randn(4, 5)))

    def mended(self):
        generator = small().gen.to("meta")
        device = next(generator.parameters()).device
        fakes = generator(torch.randn(4, 5, device=device))
        return seen(fakes.device == device, f"noise, weights and fakes on {device}")
