"""The textbook PyTorch loop for the same families: for each player zero_grad, loss, backward, step."""

from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import nn


class Player(NamedTuple):
    """`<player>_loss` trains these nets, moves these nets' running statistics, and is played so many times a step: each
    turn with a share of the batch and draws of its own, or (`reuse`) with the first share of the batch every time."""

    trains: tuple[str, ...]
    moves: tuple[str, ...] = ()
    times: int = 1
    reuse: bool = False


def parameters(family, name):
    """What a player's optimiser steps."""
    return [value for net in family.players[name].trains for value in getattr(family, net).parameters()]


def snapshot(family):
    return {key: value.clone() for key, value in family.state_dict().items()}


def update(family, optimizers, batch, draws, accumulate=1):
    """-> metrics. A player keeps what it trains and moves; all else is put back as it was."""
    before, metrics = snapshot(family), {}
    after = dict(before)
    shares = max(player.times for player in family.players.values())
    for name, player in family.players.items():
        seen = before if getattr(family, "simultaneous", False) else after
        for turn in range(player.times):
            family.load_state_dict(seen)
            mine = share(batch, 0 if player.reuse else turn, shares), share(draws, turn, shares)
            metrics |= play(family, optimizers[name], name, *mine, accumulate)
            kept = owned(family, player)
            seen = seen | kept
        after |= kept
    family.load_state_dict(after)
    return metrics


def owned(family, player):
    """What a player changes: the parameters it trains, the statistics it moves."""
    weights = dict(family.named_parameters())
    mine = lambda key: key.split(".")[0] in (player.trains if key in weights else player.moves)
    return {key: value for key, value in snapshot(family).items() if mine(key)}


def play(family, optimizer, name, batch, draws, accumulate=1):
    """One turn of one player -> metrics."""
    metrics, _ = gradients(family, name, batch, draws, accumulate)
    optimizer.step()
    return metrics


def gradients(family, name, batch, draws, accumulate=1):
    """-> metrics, {key: gradient} of what the player trains: means over micro-batches."""
    family.zero_grad(set_to_none=True)
    told = [backward(family, name, *micro, accumulate) for micro in micro_batches((batch, draws), accumulate)]
    metrics = {key: torch.stack([each[key] for each in told]).mean(0) for key in told[0]}
    mine = {key: value for key, value in family.named_parameters() if key.split(".")[0] in family.players[name].trains}
    grads = {key: torch.zeros_like(value) if value.grad is None else value.grad for key, value in mine.items()}
    return metrics, grads


def backward(family, name, batch, draws, accumulate=1):
    """Adds to the gradients -> metrics."""
    with dropout(family, draws["masks"][name]):
        loss, metrics = getattr(family, f"{name}_loss")(batch, draws)
    (loss / accumulate).backward()
    return {key: value.detach() for key, value in metrics.items()}


def micro_batches(tree, count):
    """Strided as shares are."""
    return [share(tree, k, count) for k in range(count)]


def share(tree, turn, shares):
    """One turn's rows, strided."""
    if isinstance(tree, dict):
        return {key: share(value, turn, shares) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [share(value, turn, shares) for value in tree]
    return tree[turn::shares]


@contextmanager
def dropout(family, masks):
    """Every Dropout multiplies with the masks given for its path, a call each; other hooks see the result."""

    def given(waiting):
        return lambda layer, args, output: args[0] * next(waiting) / (1 - layer.p) if layer.training else args[0]

    layers = [(path, layer) for path, layer in family.named_modules() if isinstance(layer, nn.Dropout)]
    hooks = [layer.register_forward_hook(given(iter(masks.get(path, ()))), prepend=True) for path, layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def average(old, family, decay=0.999):
    """Running average of a snapshot; an integer is counted, not averaged."""
    new = snapshot(family)
    return {key: torch.lerp(old[key], new[key], 1 - decay) if new[key].is_floating_point() else new[key] for key in new}


def warmed(decay, step):
    """The decay of an average in the update `step` = 0, 1, ...: so small at first that the initial weights soon count
    for nothing."""
    return min(decay, (1 + step) / (10 + step))
