"""Altered activations, dropout and embeddings."""

from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

KINDS = nn.ReLU | nn.LeakyReLU | nn.GELU | nn.SiLU | nn.Sigmoid | nn.Tanh | nn.ELU | nn.Softplus | nn.Mish | nn.PReLU
OTHERS = {
    "the identity": lambda x: x,
    "ReLU": F.relu,
    "GELU (erf)": F.gelu,
    "GELU (tanh)": partial(F.gelu, approximate="tanh"),
    "GELU (sigmoid(1.702 x))": lambda x: x * torch.sigmoid(1.702 * x),
    "SiLU": F.silu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "ELU": F.elu,
    "SELU": F.selu,
    "Mish": F.mish,
    "Softplus": F.softplus,
    "Hardsigmoid": F.hardsigmoid,
    "Hardswish": F.hardswish,
    "Hardtanh": F.hardtanh,
    "ReLU6": F.relu6,
    "a sigmoid in steps (x / 4 + 1 / 2)": lambda x: (x / 4 + 0.5).clamp(0, 1),
    "softsign": F.softsign,
    "the sigmoid of twice x": lambda x: torch.sigmoid(2 * x),
    "2 sigmoid(x) - 1": lambda x: 2 * torch.sigmoid(x) - 1,
}
SLOPES = (0.01, 0.2, 0.1, 0.3, 0.02, 0.25, 0.0)


def hypotheses(call):
    module = call.module
    if isinstance(module, nn.GELU):
        right, wrong = ("none", "tanh") if module.approximate == "none" else ("tanh", "none")
        told = f"equals torch with approximate={wrong!r}"
        cure = f"jax.nn.gelu(x, approximate={right == 'tanh'}): its default is the tanh form"
        yield "tanh approximation", told, cure, dict(change=lambda m: setattr(m, "approximate", wrong))
    if isinstance(module, nn.LeakyReLU):
        for slope in SLOPES:
            if slope != module.negative_slope:
                told = f"equals torch with the slope {slope:g} instead of {module.negative_slope:g}"
                cure = f"pass negative_slope={module.negative_slope:g}"
                yield "negative slope", told, cure, dict(run=lambda m, x, slope=slope: F.leaky_relu(x, slope))
    if isinstance(module, nn.ReLU | nn.LeakyReLU):
        slope = getattr(module, "negative_slope", 0.0)
        for at_zero in (1.0, 0.5, 0.0, slope):
            told = f"the gradient at exactly 0 is {at_zero:g}, torch's is {slope:g}"
            run = partial(kinked, slope=slope, at_zero=at_zero)
            yield "gradient at zero", told, "jnp.where(x > 0, x, slope * x), not jnp.maximum", dict(run=run)
    if isinstance(module, KINDS):
        for name, function in OTHERS.items():
            told = f"equals {name} instead of {call.kind}"
            yield "another activation", told, f"use {call.kind}", dict(run=lambda m, x, f=function: f(x))
    if isinstance(module, nn.Dropout):
        yield from dropout(call)
    if isinstance(module, nn.Embedding):
        yield from embedding(call)


def kinked(module, x, slope, at_zero):
    """The right values, with a gradient of its own where x is exactly 0."""
    return torch.where(x == 0, at_zero * x, F.leaky_relu(x, slope))


def dropout(call):
    p = call.module.p
    if call.training and call.mask is not None:
        mask = call.mask
        told = "kept values are not divided by 1 - p"
        yield "dropout not rescaled", told, "divide by 1 - p in training", dict(run=lambda m, x: x * mask)
        told = "kept and dropped values are exchanged: the mask says which are kept"
        run = lambda m, x: x * ~mask.bool() / (1 - p)
        yield "dropout mask inverted", told, "keep where the mask is true", dict(run=run)
        told = "divided by p instead of 1 - p"
        yield "dropout not rescaled", told, "divide by 1 - p", dict(run=lambda m, x: x * mask / p)
        told = "nothing is dropped in training"
        yield "dropout not active", told, "deterministic=False in training", dict(run=lambda m, x: x)
    if not call.training:
        told = f"values are multiplied with 1 - p = {1 - p:g} in evaluation"
        cure = "in evaluation Dropout does nothing"
        yield "dropout in evaluation", told, cure, dict(run=lambda m, x: x * (1 - p))
        told = f"values are divided by 1 - p = {1 - p:g} in evaluation"
        yield "dropout in evaluation", told, cure, dict(run=lambda m, x: x / (1 - p))


def embedding(call):
    rows = call.module.num_embeddings
    for shift in (1, -1):
        told = f"looks up the row i {'+' if shift > 0 else '-'} 1 for the index i"
        cure = "indices begin with 0 on both sides"
        for edge in ("wrapped", "clipped"):
            run = partial(looked_up, shift=shift, rows=rows, wrap=edge == "wrapped")
            yield "index shifted by one", told, cure, dict(run=run)
    scale = call.module.embedding_dim**0.5
    told = f"rows are multiplied with the root of their width, {scale:g}"
    yield "embedding scaled", told, "look up without a scale", dict(run=lambda m, i: m(i) * scale)


def looked_up(module, index, shift, rows, wrap):
    return F.embedding((index + shift) % rows if wrap else (index + shift).clamp(0, rows - 1), module.weight)
