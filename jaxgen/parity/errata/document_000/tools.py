"""The average of the weights, deployment, and the preparation of images."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jaxgen import core
from jaxgen.data import pixels
from jaxgen.errors import needs
from jaxgen.parity.errata.rows import HAZARD, WRONG, raised, seen

torch = needs("torch", "verify")
nn = torch.nn


class B0_9:
    """The average of the weights (`update_ema`) leaves out the running statistics of BatchNorm; without a warm-up the
    initial weights still count for 0.37 after 10,000 steps.

    Weights and statistics are averaged together (level `averages` of `jaxgen verify`); decay min(d, (1 + n) / (10 + n))
    in step n (`--ema-warmup`)."""

    lines, severity = "34", HAZARD

    def failure(self):
        model, ema_model = (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)) for _ in range(2))
        for _ in range(50):
            model(7 + torch.randn(8, 2))
            with torch.no_grad():  # as printed
                for param_ema, param in zip(ema_model.parameters(), model.parameters(), strict=False):
                    param_ema.copy_(0.9999 * param_ema + (1 - 0.9999) * param)
        moved, kept = (net[1].running_mean.abs().max().item() for net in (model, ema_model))
        told = f"running mean {moved:.2f} in the model, {kept:.2f} in its average; 0.9999^10000 = {0.9999**10_000:.3f}"
        return seen(moved > 0.5 and kept == 0, told)

    def mended(self):
        old, new = ({"stats": {"running_mean": jnp.full(2, x)}} for x in (0.0, 5.0))
        mean = float(core.average(old, new, 0.9)["stats"]["running_mean"][0])
        left = float(core.warmed(0.9999, jnp.arange(10_000)).prod())
        told = f"0.9 of 0 and 0.1 of 5 make a running mean of {mean:.1f}; the initial weights count for {left:.0e}"
        return seen(abs(mean - 0.5) < 1e-6 and left < 1e-9, told)


class B0_11:
    """`quantize_dynamic(model, {nn.Linear, nn.Conv2d})` silently leaves convolutions as they are: of a DCGAN or UNet
    next to nothing is quantised. The interface is deprecated.

    Weights alone in int8, a scale for each output channel, and the error measured."""

    lines, severity, until = "42-43", WRONG, "metrics and deployment"

    def failure(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, but it is what the document prints
            net = torch.quantization.quantize_dynamic(
                nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(4, 4)), {nn.Linear, nn.Conv2d}, dtype=torch.qint8
            )
        untouched = [type(layer) in (nn.Conv2d, nn.Linear) for layer in net]
        return seen(untouched == [True, False], f"the layers are now {net[0]} and {net[1]}")

    def mended(self):
        weight = np.random.default_rng(0).normal(size=(8, 3, 4, 4))
        scale = abs(weight).max((1, 2, 3), keepdims=True) / 127
        whole = np.round(weight / scale).astype(np.int8)
        error = (abs(whole * scale - weight) / scale).max()
        return seen(error <= 0.5 + 1e-9, f"a convolution in {whole.dtype}, each weight within {error:.2f} steps")


def denoiser(x, t, text):
    """A net of three inputs."""
    return x + t + text


class B0_12:
    """The ONNX export has one input where a denoiser needs image, time and text; it is not preceded by `eval()`, and
    `dynamic_axes` belongs to the exporter of old.

    All inputs, evaluation, and a batch of any size."""

    lines, severity, until = "44-45", HAZARD, "metrics and deployment"

    def failure(self):
        one_input = raised(TypeError, "required positional arguments", lambda: denoiser(torch.zeros(1, 3)))
        training = raised(ValueError, "more than 1 value", lambda: nn.BatchNorm1d(3)(torch.zeros(1, 3)))
        return f"{one_input}; without eval(): {training}"

    def mended(self):
        from jax import export

        (rows,) = export.symbolic_shape("rows")
        inputs = [jax.ShapeDtypeStruct((rows, 3), jnp.float32)] * 3
        exported = export.export(jax.jit(denoiser))(*inputs)
        shapes = [exported.call(*[jnp.ones((n, 3), jnp.float32)] * 3).shape for n in (1, 5)]
        return seen(shapes == [(1, 3), (5, 3)], f"three inputs, one program, outputs {shapes}")


class B0_13:
    """`Resize(64)` brings only the shorter side to 64 and keeps the aspect: images of several shapes make no batch.

    `Resize((64, 64))`; jaxgen makes squares of a user's images when `--resize crop` or `stretch` asks for it."""

    lines, severity = "20", HAZARD

    def failure(self):
        needs("torch_ref.vision", "verify").torchvision()
        transforms = needs("torchvision.transforms", "vision")
        resize = transforms.Compose([transforms.Resize(64), transforms.ToTensor()])
        wide, tall = (resize(Image.new("RGB", size)) for size in ((60, 48), (48, 60)))
        return f"{tuple(wide.shape)} and {tuple(tall.shape)}: " + raised(
            RuntimeError, "equal size", lambda: torch.stack([wide, tall])
        )

    def mended(self):
        target = pixels.Target(64, 64, 3, "crop")
        sizes = {pixels.resized(Image.new("RGB", size), target).size for size in ((60, 48), (48, 60))}
        return seen(sizes == {(64, 64)}, f"both {sizes.pop()}")
