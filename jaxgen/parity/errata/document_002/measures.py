"""Measures of samples, deployment, curves."""

import copy
import warnings

import numpy as np

from jaxgen import pictures
from jaxgen.errors import needs
from jaxgen.parity.errata.rows import HAZARD, WRONG, raised, seen

torch = needs("torch", "verify")
nn, F = torch.nn, torch.nn.functional


class B2_16:
    """The Fréchet distance takes the root of the product of covariances element by element: right for diagonal ones
    alone, negative for equal data, NaN where an entry is negative.

    tr sqrt(S1 S2) = sum of the roots of the eigenvalues of S1 S2, which are real and not negative, in float64."""

    lines, severity, until = "522-529", WRONG, "metrics and deployment"

    def failure(self):
        mixed = torch.randn(500, 4).abs() @ torch.rand(4, 4)
        same = self.distance(mixed, mixed, lambda product: torch.sqrt(product).trace())
        product = torch.cov(torch.randn(500, 4).T) @ torch.cov(torch.randn(500, 4).T)
        nan = torch.isnan(torch.sqrt(product)).sum().item()
        return seen(same < -0.01 and nan > 0, f"equal data: {same:.2f}; NaN in {nan} of 16 entries of another root")

    def mended(self):
        root = lambda product: torch.linalg.eigvals(product).real.clip(0).sqrt().sum()
        x = torch.randn(500, 4, dtype=torch.float64) @ torch.rand(4, 4, dtype=torch.float64)
        same, moved = self.distance(x, x, root), self.distance(x, x + 1, root)
        told = f"equal data: {abs(same):.0e}; moved by 1 along 4 axes: {moved:.4f}"
        return seen(abs(same) < 1e-6 and abs(moved - 4) < 1e-6, told)

    def distance(self, real, fake, trace_of_root):
        sigma1, sigma2, diff = torch.cov(real.T), torch.cov(fake.T), real.mean(0) - fake.mean(0)
        return (diff @ diff + (sigma1 + sigma2).trace() - 2 * trace_of_root(sigma1 @ sigma2)).item()


class B2_17:
    """The inception score ignores `num_splits`, and 0 log 0 makes it NaN where the classifier is sure.

    `log_softmax`, and the mean over splits."""

    lines, severity, until = "531-542", WRONG, "metrics and deployment"

    def failure(self):
        scores = [self.printed(200 * torch.eye(10), num_splits=count) for count in (1, 10)]
        same = [self.printed(torch.eye(10), num_splits=count) for count in (1, 10)]
        told = f"{scores[0]} for ten classes told apart; splits change nothing"
        return seen(np.isnan(scores).all() and same[0] == same[1], told)

    def mended(self):
        logits = 200 * torch.eye(10).repeat(4, 1)
        scores = [np.exp(self.divergence(part)) for part in logits.chunk(2)]
        told = f"{scores[0]:.1f} and {scores[1]:.1f} in two splits, the number of classes"
        return seen(np.allclose(scores, 10), told)

    def printed(self, preds, num_splits=10):
        """As printed."""
        p_yx = F.softmax(preds, dim=1)
        p_y = p_yx.mean(dim=0)
        kl_d = p_yx * (torch.log(p_yx) - torch.log(p_y.unsqueeze(0)))
        return torch.exp(kl_d.sum(dim=1).mean()).item()

    def divergence(self, logits):
        log_p = logits.log_softmax(1)
        log_mean = log_p.logsumexp(0) - np.log(log_p.shape[0])
        return (log_p.exp() * (log_p - log_mean)).sum(1).mean().item()


class B2_18:
    """Diversity is a mean distance of pixels: noise is the most diverse of all; `.view` fails for channels_last, and
    one image gives NaN.

    Distances between features, beside precision and recall of nearest neighbours (Kynkäänniemi et al., 2019)."""

    lines, severity, until = "544-552", HAZARD, "metrics and deployment"

    def failure(self):
        digits, noise, alone = self.digits()[:200], torch.rand(200, 1, 8, 8), torch.rand(1, 1, 8, 8)
        last = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
        told = raised(RuntimeError, "view size is not compatible", lambda: self.printed(last))
        of = {name: self.printed(x) for name, x in {"digits": digits, "noise": noise, "one image": alone}.items()}
        wrong = np.isnan(of["one image"]) and of["noise"] > of["digits"]
        return seen(wrong, ", ".join(f"{name} {value:.2f}" for name, value in of.items()) + f"; {told}")

    def mended(self):
        digits, noise = self.digits().flatten(1), torch.rand(200, 64)
        real, held_out = digits[:1000], digits[1000:1200]
        radius = torch.cdist(real, real).kthvalue(4).values
        others, none = ((torch.cdist(x, real) < radius).any(1).float().mean().item() for x in (held_out, noise))
        return seen(others > 0.5 and none == 0, f"precision: other digits {others:.2f}, noise {none:.2f}")

    def printed(self, fake_images):
        """As printed."""
        features = fake_images.view(fake_images.size(0), -1)
        distances = torch.cdist(features, features)
        mask = ~torch.eye(features.size(0), dtype=torch.bool)
        return distances[mask].mean().item()

    def digits(self):
        return torch.from_numpy(needs("sklearn.datasets", "demo").load_digits().images[:, None] / 16).float()


class B2_19:
    """`optimize_generation` quantises a copy and returns another, unquantised one; it traces without `eval()`, which
    runs BatchNorm in training and moves the statistics of the model that it is given.

    What is returned is what was quantised, in evaluation, and the model stays as it was."""

    lines, severity, until = "563-573", WRONG, "metrics and deployment"

    def failure(self):
        net = self.net()
        before = net[1].num_batches_tracked.item()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated, but it is what the document prints
            quantized_model = torch.quantization.quantize_dynamic(net, {nn.Linear, nn.Conv2d}, dtype=torch.qint8)
            traced_model = torch.jit.trace(net, torch.randn(6, 3))
        moved, other = net[1].num_batches_tracked.item() - before, type(quantized_model[0]).__name__
        plain = all(x.dtype == torch.float32 for x in traced_model.parameters())
        told = f"{other} is dropped, float32 returned; tracing ran the net {moved} times in training"
        return seen(plain and moved > 0, told)

    def mended(self):
        net = self.net().eval()
        before, x = copy.deepcopy(net.state_dict()), torch.randn(6, 3)
        scale = net[0].weight.detach().abs().max(1, keepdim=True).values / 127
        small = copy.deepcopy(net)
        small[0].weight.data = torch.round(net[0].weight.detach() / scale).to(torch.int8) * scale
        apart = (small(x) - net(x)).abs().max().item()
        kept = all(torch.equal(before[key], value) for key, value in net.state_dict().items())
        return seen(kept and 0 < apart < 0.05, f"int8 weights, outputs {apart:.0e} off; the model is untouched")

    def net(self):
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


class B2_21:
    """The curve's axis says "Iterations", its points are every 50th of them; CGAN, DCGAN, ProGAN and StyleGAN are dated
    2015, 2016, 2018 and 2019.

    The log keeps the step of each line, and the curves are drawn over it; first published 2014, 2015, 2017 and 2018."""

    lines, severity = "11-15, 161-163, 175", HAZARD

    def failure(self):
        losses = [1.0 for i in range(469) if i % 50 == 0]
        drawn_at = list(range(len(losses)))
        return seen(drawn_at[-1] == 9, f"469 iterations are drawn from {drawn_at[0]} to {drawn_at[-1]}")

    def mended(self):
        axes = needs("matplotlib.figure", "plots").Figure().subplots()
        pictures.draw(axes, "loss", [{"step": step, "loss": 1.0} for step in range(50, 451, 50)])
        drawn_at = axes.lines[0].get_xdata().tolist()
        return seen(drawn_at == list(range(50, 451, 50)), f"drawn from {drawn_at[0]} to {drawn_at[-1]}")
