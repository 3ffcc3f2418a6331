"""The DCGAN."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxgen import data, find, objectives
from jaxgen.errors import needs
from jaxgen.functional import Functional
from jaxgen.parity.errata.ours import shape_of_samples
from jaxgen.parity.errata.rows import HAZARD, STOPS, WRONG, raised, seen

torch = needs("torch", "verify")
nn = torch.nn


def family(**arguments):
    """The DCGAN for 32 pixels, in a small width."""
    return Functional(find.family("dcgan")(size=32, width=4, **arguments))


class B1_1:
    """The GAN's listing uses `torch.device`, `torch.ones` and `torch.randn`, but imports only parts of torch.

    `import torch`."""

    lines, severity = "8-12, 51", STOPS

    def failure(self):
        printed = "from torch import nn\nimport torch.optim as optim\nimport torch.nn.functional as F\n"
        return raised(NameError, "'torch' is not defined", lambda: exec(f"{printed}device = torch.device('cpu')", {}))

    def mended(self):
        names = {}
        exec("import torch\ndevice = torch.device('cpu')", names)
        return seen(names["device"].type == "cpu", f"device {names['device']}")


class B1_2:
    """`Normalize` with three means for the single channel of MNIST.

    Gray is repeated to three channels before it (`test_data.py`, documented transforms)."""

    lines, severity = "52-57", STOPS

    def failure(self):
        needs("torch_ref.vision", "verify").torchvision()
        normalize = needs("torchvision.transforms", "vision").Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        return raised(RuntimeError, "doesn't match the broadcast shape", lambda: normalize(torch.rand(1, 32, 32)))

    def mended(self):
        images = np.arange(28 * 28, dtype=np.uint8).reshape(1, 28, 28, 1)
        transform = needs("torch_ref.vision", "verify").documented_transform(32, 3)
        theirs = transform(Image.fromarray(images[0, ..., 0])).permute(1, 2, 0).numpy()
        ours = data.fit_images(images, 32, 32, 3)[0] / 127.5 - 1
        return seen(abs(ours - theirs).max() < 1e-6, f"{theirs.shape} in torchvision's transforms and in jaxgen, equal")


class B1_3:
    """Generator and discriminator have three channels, MNIST's images one.

    Three channels with gray repeated (recipe T01), or `--channels 1`."""

    lines, severity = "27, 37, 57", STOPS

    def failure(self):
        return raised(RuntimeError, "to have 3 channels", lambda: nn.Conv2d(3, 64, 4, 2, 1)(torch.rand(4, 1, 32, 32)))

    def mended(self):
        shapes = [shape_of_samples(family(channels=channels)) for channels in (1, 3)]
        return seen(shapes == [(2, 32, 32, 1), (2, 32, 32, 3)], f"samples {shapes[0]} and {shapes[1]}")


class B1_4:
    """Noise of shape (N, 100) is given to a ConvTranspose2d.

    (N, 100, 1, 1); in jaxgen, with channels last, (N, 1, 1, 100)."""

    lines, severity = "18, 79-80", STOPS

    def failure(self):
        first = nn.ConvTranspose2d(100, 256, 4, 1, 0, bias=False)
        return raised(RuntimeError, "Expected 3D (unbatched) or 4D (batched)", lambda: first(torch.randn(4, 100)))

    def mended(self):
        net = family(channels=3)
        z, images = net.draw_sample(jax.random.key(0), 4)["z"].shape, shape_of_samples(net, 4)
        return seen(z == (4, 1, 1, 100) and images == (4, 32, 32, 3), f"noise {z}, images {images}")


class B1_5:
    """The labels are made without the device of the images: on a GPU the loss gets tensors of two devices.

    Labels on the device of the images; in jaxgen they are made like the logits."""

    lines, severity = "71-72", STOPS

    def failure(self):
        output = torch.rand(4, device="meta")  # a device that every machine has
        return raised(RuntimeError, "not on the expected device", lambda: nn.BCELoss()(output, torch.ones(4)))

    def mended(self):
        output = torch.rand(4, device="meta")
        loss = nn.BCELoss()(output, torch.ones(4, device=output.device))
        return seen(loss.device == output.device, f"images, labels and loss on {loss.device}")


class B1_6:
    """Adam with its default beta_1 of 0.9 and PyTorch's initial weights, where a DCGAN needs 0.5 and N(0, 0.02);
    nothing is sampled or saved.

    Both are the defaults of `dcgan`; recipe T01 keeps the printed 0.9. `jaxgen train` saves, `jaxgen sample`
    samples."""

    lines, severity = "60-64", HAZARD

    def failure(self):
        beta = inspect.signature(torch.optim.Adam).parameters["betas"].default[0]
        deviations = [layer.weight.std().item() for layer in (nn.ConvTranspose2d(100, 256, 4), nn.Conv2d(3, 64, 4))]
        told = f"beta_1 = {beta}; deviations of the first layers {deviations[0]:.3f} and {deviations[1]:.3f}"
        return seen(beta == 0.9 and deviations[0] < 0.015 and deviations[1] > 0.05, told)

    def mended(self):
        net = family()
        beta = inspect.signature(net.module.optimizers).parameters["betas"].default[0]
        first = lambda params: [params[name]["main"]["0"]["weight"].std() for name in ("gen", "disc")]
        deviations = [float(x) for x in jax.jit(lambda key: first(net.init(key)[0]))(jax.random.key(0))]
        told = f"beta_1 = {beta}; deviations {deviations[0]:.3f} and {deviations[1]:.3f}"
        return seen(beta == 0.5 and all(0.015 < x < 0.025 for x in deviations), told)


class B1_7:
    """In prose, the generator maximises the probability that its samples are judged to be fake, which is the opposite;
    it is said to have convolutions and transposed ones.

    It maximises log D(G(z)), as the printed code does; its convolutions are all transposed."""

    lines, severity = "6", WRONG

    def failure(self):
        logits = torch.zeros(4, requires_grad=True)  # D(G(z)) = 0.5
        (-torch.log(1 - torch.sigmoid(logits))).mean().backward()
        after = torch.sigmoid(logits - logits.grad).mean().item()
        return seen(after < 0.49, f"one step of gradient descent takes D(G(z)) from 0.50 down to {after:.2f}")

    def mended(self):
        logits = jnp.zeros(4)
        after = float(jax.nn.sigmoid(logits - jax.grad(objectives.bce.gen)(logits)).mean())
        return seen(after > 0.51, f"up to {after:.2f}")
