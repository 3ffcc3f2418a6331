"""Altered convolutions, transposed convolutions and matrix products."""

from itertools import product

import torch
from torch import nn
from torch.nn import functional as F

from jaxgen.parity.diagnosis.reference import turned

CONV, TRANSPOSED = nn.Conv1d | nn.Conv2d, nn.ConvTranspose1d | nn.ConvTranspose2d


def hypotheses(call):
    module = call.module
    if isinstance(module, CONV | TRANSPOSED | nn.Linear) and module.bias is not None:
        told = "equals torch without its bias"
        yield "bias missing", told, "keep the bias (use_bias=True)", dict(run=turned(bias=torch.zeros_like))
    if isinstance(module, nn.Linear):
        yield from linear(module)
    if isinstance(module, nn.Conv2d):
        yield from kernels(module, "kernel flipped", "the kernel is mirrored (a true convolution)", "do not flip it")
        yield from conv(call)
    if isinstance(module, nn.ConvTranspose2d):
        told = "the kernel is not mirrored"
        cure = "transpose_kernel=True with the kernel (2, 3, 1, 0), or flip both spatial axes"
        yield from kernels(module, "kernel not flipped", told, cure)
        yield from transposed(call)


def linear(module):
    if module.in_features == module.out_features:
        told = "the square weight is not transposed: (out, in) was taken for (in, out)"
        cure = "kernel = weight.T"
        yield "weight not transposed", told, cure, dict(run=turned(weight=lambda w: w.T))
    for turn, words in ((lambda w: w.flip(0), "rows"), (lambda w: w.flip(1), "columns")):
        told = f"the {words} of the weight are in the opposite order"
        yield "weight not transposed", told, "take the weight as it is", dict(run=turned(weight=turn))


def kernels(module, cause, told, cure):
    """The kernel turned in one way or another."""
    size = module.weight.shape
    if max(size[2:]) > 1:
        yield cause, told, cure, dict(run=turned(weight=lambda w: w.flip(2, 3)))
        for axis, word in ((2, "height"), (3, "width")):
            yield cause, f"{told}, along its {word} only", cure, dict(run=turned(weight=lambda w, a=axis: w.flip(a)))
    if size[2] == size[3] > 1:
        told = "height and width of the kernel are exchanged"
        right = "permute (2, 3, 1, 0), which keeps height before width"
        exchanged = dict(run=turned(weight=lambda w: w.transpose(2, 3)))
        yield "kernel height and width exchanged", told, right, exchanged
    if size[0] == size[1]:
        told = "input and output channels of the square kernel are exchanged"
        right = "a kernel is (height, width, in, out): permute (2, 3, 1, 0)"
        yield "channels exchanged", told, right, dict(run=turned(weight=lambda w: w.transpose(0, 1)))
        both = dict(run=turned(weight=lambda w: w.transpose(0, 1).flip(2, 3)))
        yield "channels exchanged", f"{told}, and it is mirrored", right, both


def pads_of(call, out):
    """What makes the output of this size: the sum of the padding on both sides, by axis."""
    m = call.module
    reach = [d * (k - 1) + 1 for d, k in zip(m.dilation, m.kernel_size, strict=True)]
    sizes = zip(out, m.stride, reach, call.args[0].shape[2:], strict=True)
    return [(n - 1) * s + r - length for n, s, r, length in sizes]


def conv(call):
    m = call.module
    right = tuple((p, p) for p in m.padding)
    # 'SAME' splits what it needs, the odd one behind
    total = [
        max(x, 0) for x in pads_of(call, [-(-n // s) for n, s in zip(call.args[0].shape[2:], m.stride, strict=True)])
    ]
    same = tuple((n // 2, n - n // 2) for n in total)
    others = [("padding SAME", same, f"padding 'SAME' with kernel {m.kernel_size}, stride {m.stride}")]
    for before, behind in product(range(-2, 3), repeat=2):
        pads = tuple((p + before, p + behind) for p in m.padding)
        others.append(("padding SAME" if before + behind == 1 else "stride or dilation", pads, "another padding"))
    for cause, pads, words in others:
        if pads != right:
            told = f"{words}: {pads} before and behind each axis instead of {right}"
            run = lambda m, x, pads=pads: padded(m, x, pads)
            yield cause, told, f"padding={right}", dict(run=run)
    for mode in ("reflect", "replicate", "circular"):
        told = f"the border is filled by {mode!r} instead of zeros"
        run = lambda m, x, mode=mode: padded(m, x, right, mode)
        yield "padding mode", told, f"pad with zeros, padding={right}", dict(run=run)
    for stride, dilation in product((1, 2, 3), (1, 2)):
        if ((stride,) * 2, (dilation,) * 2) != (m.stride, m.dilation):
            told = f"stride {stride}, dilation {dilation} instead of {m.stride}, {m.dilation}"
            run = lambda m, x, s=stride, d=dilation: F.conv2d(x, m.weight, m.bias, s, m.padding, d, m.groups)
            yield "stride or dilation", told, f"strides={m.stride}, kernel_dilation={m.dilation}", dict(run=run)
            fit = lambda m, x, s=stride, d=dilation: fitted(m, x, s, d, call.output.shape)
            yield "stride or dilation", told + ", padded to the same size", f"strides={m.stride}", dict(run=fit)
    if m.groups > 1:
        yield from grouped(m)


def padded(m, x, pads, mode="constant"):
    (top, bottom), (left, right) = pads
    x = F.pad(x, (left, right, top, bottom), mode=mode)
    return F.conv2d(x, m.weight, m.bias, m.stride, 0, m.dilation, m.groups)


def fitted(m, x, stride, dilation, shape):
    """Another dilation usually comes with the padding that keeps the size."""
    extra = [(dilation - d) * (k - 1) // 2 for d, k in zip(m.dilation, m.kernel_size, strict=True)]
    pads = tuple(p + e for p, e in zip(m.padding, extra, strict=True))
    return F.conv2d(x, m.weight, m.bias, stride, pads, dilation, m.groups)


def grouped(m):
    """Channels dealt out to the groups in turn, at one end or at both."""
    deal = lambda n: torch.arange(n).reshape(-1, m.groups).T.reshape(-1)
    into, out = deal(m.in_channels), deal(m.out_channels)
    conv = lambda m, x: F.conv2d(x, m.weight, None, m.stride, m.padding, m.dilation, m.groups)
    shift = lambda m, y: y if m.bias is None else y + m.bias.view(1, -1, 1, 1)
    both = {
        "inputs": lambda m, x: m(x[:, into]),
        "outputs": lambda m, x: shift(m, conv(m, x)[:, torch.argsort(out)]),
        "inputs and outputs": lambda m, x: shift(m, conv(m, x[:, into])[:, torch.argsort(out)]),
        "inputs, the other way": lambda m, x: m(x[:, torch.argsort(into)]),
        "outputs, the other way": lambda m, x: shift(m, conv(m, x)[:, out]),
    }
    for ends, run in both.items():
        told = f"the channels of the {ends} are dealt out to the groups in turn, torch's groups are contiguous"
        yield "groups are strided", told, f"feature_group_count={m.groups} with contiguous channels", dict(run=run)


def transposed(call):
    m = call.module
    axes = list(zip(m.kernel_size, m.stride, m.padding, m.output_padding, m.dilation, strict=True))
    right = tuple((d * (k - 1) - p, d * (k - 1) - p + e) for k, s, p, e, d in axes)
    for cause, told, pads in transposed_pads(axes, right):
        if pads != right:
            run = lambda m, x, pads=pads: transposed_padded(m, x, pads)
            yield cause, told, f"padding={right}, transpose_kernel=True", dict(run=run)
    for stride in (1, 2, 3):
        if (stride, stride) != m.stride:
            run = lambda m, x, s=stride: F.conv_transpose2d(x, m.weight, m.bias, s, m.padding, 0, m.groups, m.dilation)
            yield "stride or dilation", f"stride {stride} instead of {m.stride}", f"strides={m.stride}", dict(run=run)
    if m.groups > 1:
        yield from kernels(m, "kernel not flipped", "the kernel is not mirrored", "flip both spatial axes")


def transposed_pads(axes, right):
    """(cause, words, pads before and behind each axis as JAX counts them)."""
    same = tuple(same_pads(d * (k - 1), s) for k, s, _, _, d in axes)
    by_same, extra = f"padding 'SAME' with kernel {axes[0][0]}, stride {axes[0][1]}", [axis[3] for axis in axes]
    for down, across in sorted(product(range(-2, 3), repeat=2), key=lambda pair: abs(pair[0]) + abs(pair[1])):
        pads = tuple((a + n, b - n) for (a, b), n in zip(right, (down, across), strict=True))
        side = any(extra) and {down, across} <= {0, *(-e for e in extra), *extra}
        told = (
            f"equals the reference shifted by {moved(down, across)}: {by_same if pads == same else f'padding {pads}'}"
        )
        told += " has output_padding on the other side" if side else ""
        yield "output padding on the other side" if side else "padding SAME", told, pads
    yield "padding SAME", f"{by_same}: {same} instead of {right}", same
    guide = tuple((1 - p, 1 - p) for _, _, p, _, _ in axes)
    yield "padding by 1 - p", f"padding {guide}: the guide's rule 1 - padding is right for a kernel of 2 alone", guide
    plain = tuple((p, p) for _, _, p, _, _ in axes)
    yield "padding as in torch", f"padding {plain} as in torch: JAX pads the dilated input", plain
    short = tuple((a, b - e) for (a, b), e in zip(right, extra, strict=True))
    yield "output padding missing", f"padding {short} is without the output_padding", short


def same_pads(reach, stride):
    """Those of a transposed convolution, the odd one before."""
    total = reach + stride - 1
    before = reach if stride > reach else -(-total // 2)
    return before, total - before


def moved(down, across):
    far = f"{abs(down)} down" if down > 0 else f"{abs(down)} up" if down else ""
    side = f"{abs(across)} right" if across > 0 else f"{abs(across)} left" if across else ""
    return f"{' and '.join(filter(None, (far, side)))} pixel{'s' if max(abs(down), abs(across)) > 1 else ''}"


def transposed_padded(m, x, pads):
    """The whole output without padding, of which a window is taken, or around which there is nothing but the bias."""
    reach = [d * (k - 1) for d, k in zip(m.dilation, m.kernel_size, strict=True)]
    (top, bottom), (left, right) = ((a - r, b - r) for (a, b), r in zip(pads, reach, strict=True))
    whole = F.conv_transpose2d(x, m.weight, None, m.stride, 0, 0, m.groups, m.dilation)
    y = F.pad(whole, (left, right, top, bottom))
    return y if m.bias is None else y + m.bias.view(1, -1, 1, 1)
