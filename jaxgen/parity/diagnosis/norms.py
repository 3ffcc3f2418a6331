"""Altered normalisations."""

import torch
from torch import nn
from torch.nn import functional as F

from jaxgen.parity.diagnosis.reference import turned

NORMS = nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.LayerNorm
BATCH = nn.modules.batchnorm._BatchNorm
EPSILONS = (1e-6, 1e-3, 1e-8, 1e-4, 1e-2, 1e-12, 1e-5, 0.8, 0.0)
MOMENTA = (0.01, 0.99, 0.9, 0.1, 0.001, 0.999, 0.05)
KEPT = ("running_var moves by the biased variance, torch's by n / (n - 1) of it", "keep n / (n - 1) of it")


def hypotheses(call):
    """Flax keeps the biased variance, so a fault of its BatchNorm seldom comes alone."""
    if isinstance(call.module, NORMS):
        yield from faults(call)
    if isinstance(call.module, BATCH) and call.training and call.module.running_var is not None:
        for cause, told, cure, how in faults(call):
            how["run"] = keeping(biased, how.get("run", nn.Module.__call__))
            yield cause, f"{told}, and {KEPT[0]}", f"{cure}, and {KEPT[1]}", how


def faults(call):
    eps = call.module.eps
    for other in EPSILONS:
        if other != eps:
            told = f"equals torch with eps {other:g} instead of {eps:g}"
            yield "eps", told, f"pass epsilon={eps:g}", dict(change=setting("eps", other))
    for name, word in (("bias", "bias"), ("weight", "scale")):
        if getattr(call.module, name, None) is not None:
            told = f"equals torch without its {word}"
            fill = torch.zeros_like if name == "bias" else torch.ones_like
            yield f"{word} missing", told, f"keep the {word} (use_{word}=True)", dict(run=turned(**{name: fill}))
    if isinstance(call.module, BATCH):
        yield from batch(call)
    if isinstance(call.module, nn.GroupNorm):
        yield from group(call)
    if isinstance(call.module, nn.LayerNorm) and len(call.module.normalized_shape) == 3:
        told = "equals torch with scale and bias laid out as (H, W, C)"
        cure = "transpose scale and bias from (C, H, W)"
        yield "affine laid out as NHWC", told, cure, dict(run=turned(weight=last, bias=last))
    if isinstance(call.module, nn.LayerNorm):
        yield from layer(call)
    if isinstance(call.module, nn.modules.instancenorm._InstanceNorm):
        yield from other_axes(call, {"all but the rows": (1, 2, 3), "the batch": (0, 2, 3), "the channels": (1,)})
        yield from by_unbiased((2, 3))


def setting(name, value):
    return lambda module: setattr(module, name, value)


def last(x):
    c, h, w = x.shape
    return x.reshape(h, w, c).permute(2, 0, 1)


def batch(call):
    momentum = call.module.momentum
    if momentum is not None:
        for other in (1 - momentum, *MOMENTA):
            if abs(other - momentum) > 1e-12:
                told = f"the statistics move as with torch's momentum {other:g} instead of {momentum:g}"
                cure = (
                    f"torch counts the weight of the new batch, Flax that of the old: momentum={1 - momentum:g} in Flax"
                )
                yield "momentum", told, cure, dict(change=setting("momentum", other))
    yield "running variance is biased", *KEPT, dict(run=keeping(biased))
    told = "normalised by the unbiased variance (n - 1)"
    yield "normalised by the unbiased variance", told, "normalise by the biased variance (ddof=0)", dict(run=unbiased)
    if call.training:
        told = "normalised by the running statistics in training"
        cure = "use_running_average=False in training"
        yield "running statistics in training", told, cure, dict(run=lambda m, x: m.eval()(x))
    else:
        told = "normalised by the statistics of the batch in evaluation"
        cure = "use_running_average=True in evaluation"
        yield "batch statistics in evaluation", told, cure, dict(run=by_batch)
        told += ", which also move the running ones"
        yield "batch statistics in evaluation", told, cure, dict(run=lambda m, x: m.train()(x))
    told = "running_var moves as if the variance were not centred"
    uncentred = lambda x: (x**2).mean(axes_of(x))
    yield "running variance is biased", told, "keep the variance about the mean", dict(run=keeping(uncentred))
    if call.args[0].ndim == 4 and call.training:
        choices = {"each row by itself": (2, 3), "each pixel by itself": (0,), "everything": (0, 1, 2, 3)}
        yield from other_axes(call, choices, moving)


def axes_of(x):
    return [i for i in range(x.ndim) if i != 1]


def shaped(module, x, name):
    return getattr(module, name).view(1, -1, *[1] * (x.ndim - 2)) if getattr(module, name) is not None else None


def affine(module, x, y):
    weight, bias = shaped(module, x, "weight"), shaped(module, x, "bias")
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def biased(x):
    return x.var(axes_of(x), correction=0)


def keeping(variance, run=nn.Module.__call__):
    """Right, or what `run` is, but for the variance that is kept."""

    def altered(module, x):
        before = module.running_var.clone()
        y = run(module, x)
        if module.training and module.momentum is not None:
            module.running_var = before.lerp(variance(x.detach()), module.momentum)
        return y

    return altered


def unbiased(module, x):
    if not module.training:
        return module(x)
    module(x)
    var, mean = torch.var_mean(x, axes_of(x), correction=1, keepdim=True)
    return affine(module, x, (x - mean) / torch.sqrt(var + module.eps))


def by_batch(module, x):
    return F.batch_norm(x, None, None, module.weight, module.bias, True, 0.0, module.eps)


def moving(module, x, y):
    """The statistics still move as they should."""
    module(x.detach())
    return affine(module, x, y)


def group(call):
    groups, channels = call.module.num_groups, call.module.num_channels

    def strided(module, x):
        order = torch.arange(channels).reshape(-1, groups).T.reshape(-1)
        back = torch.argsort(order)
        y = F.group_norm(x[:, order], groups, None, None, module.eps)[:, back]
        return affine(module, x, y)

    told = f"channel c is in group c modulo {groups}, torch's groups are contiguous"
    yield "groups are strided", told, "reshape channels to (groups, channels / groups)", dict(run=strided)
    for other in (1, channels, channels // groups):
        if other != groups and other and channels % other == 0:
            run = lambda m, x, other=other: affine(m, x, F.group_norm(x, other, None, None, m.eps))
            told = f"equals torch with {other} groups instead of {groups}"
            yield "normalised over other axes", told, f"num_groups={groups}", dict(run=run)
    yield from other_axes(call, {"the batch": (0, 2, 3), "the channels of each pixel": (1,)})
    split = lambda x: x.unflatten(1, (groups, -1)).flatten(2)
    told = "normalised by the unbiased variance (n - 1)"

    def wide(module, x):
        var, mean = torch.var_mean(split(x), 2, correction=1, keepdim=True)
        return affine(module, x, ((split(x) - mean) / torch.sqrt(var + module.eps)).reshape(x.shape))

    yield "normalised by the unbiased variance", told, "the biased variance (ddof=0)", dict(run=wide)


def by_unbiased(axes, put=None):
    told = "normalised by the unbiased variance (n - 1)"

    def run(module, x):
        var, mean = torch.var_mean(x, axes, correction=1, keepdim=True)
        return (put or affine)(module, x, (x - mean) / torch.sqrt(var + module.eps))

    yield "normalised by the unbiased variance", told, "the biased variance (ddof=0)", dict(run=run)


def layer(call):
    rank = call.args[0].ndim
    choices = {"all axes but the rows": tuple(range(1, rank)), "the first axis": (0,), "all axes": tuple(range(rank))}
    choices |= {"the channels of each pixel": (1,), "space only": (2, 3), "the width": (3,)} if rank == 4 else {}
    put = lambda m, x, y: y * m.weight + m.bias if m.weight is not None else y
    yield from other_axes(call, choices, put)
    yield from by_unbiased(tuple(range(rank - len(call.module.normalized_shape), rank)), put)


def other_axes(call, choices, put=affine):
    for words, axes in choices.items():
        if max(axes) < call.args[0].ndim:

            def run(module, x, axes=axes):
                var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
                return put(module, x, (x - mean) / torch.sqrt(var + module.eps))

            told = f"normalised over {words}"
            yield "normalised over other axes", told, "normalise over the axes that torch names", dict(run=run)
