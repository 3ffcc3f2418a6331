"""Clipping and schedules around the players' optimisers, as torch has them."""

from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, SequentialLR


def clip(optimizers, norm):
    """Between backward and step."""

    def before(optimizer, *rest):
        nn.utils.clip_grad_norm_([x for group in optimizer.param_groups for x in group["params"]], norm)

    for optimizer in optimizers.values():
        optimizer.register_step_pre_hook(before)


def scheduler(optimizer, schedule, warmup=0, steps=0):
    """To be stepped once after each step of the run, however often its player plays."""
    fall = {
        "constant": lambda: LambdaLR(optimizer, lambda t: 1.0),
        "linear": lambda: LinearLR(optimizer, 1.0, 0.0, steps - warmup),
        "cosine": lambda: CosineAnnealingLR(optimizer, steps - warmup),
    }
    if not warmup:
        return fall[schedule]()
    rise = LinearLR(optimizer, 1 / (warmup + 1), 1.0, warmup)
    return SequentialLR(optimizer, [rise, fall[schedule]()], [warmup])
