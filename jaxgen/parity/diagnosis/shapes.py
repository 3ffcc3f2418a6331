"""Altered flattening, resizing and pooling."""

from itertools import product

import torch
from torch import nn
from torch.nn import functional as F


def hypotheses(call):
    m = call.module
    if isinstance(m, nn.Flatten):
        told = "flattened in the order height, width, channel; torch's is channel, height, width"
        cure = "transpose to channels first before the flatten, or fold the next weight"
        yield "flattened as NHWC", told, cure, dict(run=lambda m, x: m(x.movedim(1, -1)))
    if isinstance(m, nn.Unflatten):
        told = "read as height, width, channel; torch reads channel, height, width"
        cure = "reshape to (C, H, W), then move the channels last"
        yield "unflattened as NHWC", told, cure, dict(run=unflattened)
    if isinstance(m, nn.Upsample):
        yield from resized(m, call.output.shape[2:])
    if isinstance(m, nn.MaxPool2d):
        yield from max_pooled(m, call)
    if isinstance(m, nn.AvgPool2d):
        yield from average_pooled(m, call)


def unflattened(m, x):
    c, *space = m.unflattened_size
    return x.reshape(x.shape[0], *space, c).movedim(-1, 1)


def resized(m, size):
    size = tuple(size)
    for corners in (True, False):
        if m.mode == "bilinear" and corners != bool(m.align_corners):
            told = f"equals torch with align_corners={corners}"
            cure = f"align_corners={bool(m.align_corners)}: see `jaxgen parity semantics align_corners`"
            run = lambda m, x, c=corners: F.interpolate(x, size, mode="bilinear", align_corners=c)
            yield "align_corners", told, cure, dict(run=run)
    choices = {
        "nearest for bilinear": {"nearest": {}, "nearest-exact": {}},
        "antialias": {"bilinear": dict(antialias=True, align_corners=False)},
        "half-pixel": {"nearest-exact": {}, "nearest": {}},
        "another interpolation": {
            "bicubic": dict(align_corners=False),
            "bilinear": dict(align_corners=False),
            "area": {},
        },
    }
    if m.mode != "bilinear":
        choices.pop("nearest for bilinear")
        choices.pop("antialias")
    for cause, modes in choices.items():
        for mode, how in modes.items():
            if mode != m.mode or how.get("antialias"):
                told = f"equals torch's {mode!r}{' with antialias' if 'antialias' in how else ''} instead of {m.mode!r}"
                run = lambda m, x, mode=mode, how=how: F.interpolate(x, size, mode=mode, **how)
                yield cause, told, f"use {m.mode!r}, antialias=False", dict(run=run)


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def same_pads(m, call):
    """'SAME' splits what it needs, the odd one behind."""
    k, s, n = pair(m.kernel_size), pair(m.stride), call.args[0].shape[2:]
    total = [max((-(-length // b) - 1) * b + a - length, 0) for a, b, length in zip(k, s, n, strict=True)]
    return [(t // 2, t - t // 2) for t in total]


def windows(m, call):
    """(cause, words, pads): 'SAME', and the padding moved by a pixel or two."""
    right = [(p, p) for p in pair(m.padding)]
    yield "padding SAME", "padding 'SAME'", same_pads(m, call)
    for before, behind in product(range(-1, 2), repeat=2):
        yield "padding SAME", "another padding", [(p + before, p + behind) for p, _ in right]


def max_pooled(m, call):
    right = [(p, p) for p in pair(m.padding)]
    for cause, words, pads in windows(m, call):
        if pads != right:
            run = lambda m, x, pads=pads: F.max_pool2d(filled(x, pads, -torch.inf), m.kernel_size, m.stride)
            yield cause, f"{words}: {pads} instead of {right}", f"padding={right}", dict(run=run)
    told, cure = "the border is filled with zeros, torch's with minus infinity", "pad with minus infinity"
    zeros = lambda m, x: F.max_pool2d(filled(x, right, 0.0), m.kernel_size, m.stride)
    yield "padding with zeros", told, cure, dict(run=zeros)
    told, cure = "of equal values the last one gets the gradient, torch's the first", "take the first of equal values"
    yield "maximum of the last tie", told, cure, dict(run=last_tie)
    told = "equal values share the gradient"
    yield "maximum of the last tie", told, cure, dict(run=shared_tie)


def filled(x, pads, value):
    (top, bottom), (left, right) = pads
    return F.pad(x, (left, right, top, bottom), value=value)


def patches(m, x):
    p = pair(m.padding)
    x = filled(x, [(n, n) for n in p], -torch.inf)
    k, s = pair(m.kernel_size), pair(m.stride)
    return x.unfold(2, k[0], s[0]).unfold(3, k[1], s[1]).flatten(4)


def last_tie(m, x):
    return patches(m, x).flip(-1).max(-1).values


def shared_tie(m, x):
    return patches(m, x).amax(-1)


def average_pooled(m, call):
    counted = m.count_include_pad
    told = f"the padding is {'not ' if counted else ''}counted"
    change = lambda m: setattr(m, "count_include_pad", not counted)
    yield "padding counted otherwise", told, f"count_include_pad={counted}", dict(change=change)
    right = [(p, p) for p in pair(m.padding)]
    for cause, words, pads in windows(m, call):
        if pads != right:
            run = lambda m, x, pads=pads: F.avg_pool2d(filled(x, pads, 0.0), m.kernel_size, m.stride)
            yield cause, f"{words}: {pads} instead of {right}", f"padding={right}", dict(run=run)
            ones = lambda m, x, pads=pads: averaged(m, x, pads)
            yield cause, f"{words}: {pads}, not counted, instead of {right}", f"padding={right}", dict(run=ones)


def averaged(m, x, pads):
    """Over what lies inside of the image."""
    mean = lambda x: F.avg_pool2d(filled(x, pads, 0.0), m.kernel_size, m.stride)
    return mean(x) / mean(torch.ones_like(x))
