"""What the PyTorch side of a case answers, as arrays. Needs torch."""

import jax
import numpy as np

from jaxgen.errors import needs
from jaxgen.parity import pairs, sides, steps, ties
from jaxgen.parity.bundle.rows import asked
from jaxgen.parity.unkind import unkind


def turns(setting):
    """{kind: {player: what `sides.their_turn` tells}}."""

    def answer(player, given, train):
        setting.give()
        return sides.their_turn(setting.twin, setting.family, player, given, train)

    def untied(kind, player, given, train):
        """Unkind inputs without the arrays that a tie leaves undefined."""
        told = answer(player, given, train)
        for level, key in ties.jumps(setting, player, given, told) if kind in unkind(given) else ():
            del told[level][key]
        return told

    return {
        kind: {player: untied(kind, player, given, train) for player in setting.family.players}
        for kind, (given, train) in asked(setting.turn()).items()
    }


def clipped(grads):
    """By torch's clip_grad_norm_, to half of their norm; {} where a player trains nothing."""
    torch = needs("torch", "verify")
    held = {key: torch.nn.Parameter(torch.from_numpy(x)) for key, x in grads.items()}
    for key, x in held.items():
        x.grad = torch.from_numpy(grads[key].copy())
    norm = float(np.sqrt(sum((x**2).sum() for x in grads.values())))
    torch.nn.utils.clip_grad_norm_(held.values(), norm / 2)
    return pairs.arrays({key: x.grad for key, x in held.items()})


def stepped(setting, count):
    """{number of the step: metrics, optimiser states, weights and statistics, their averages, and where a gradient was
    but noise}; the twin is left after the last."""
    torch_core, told = needs("torch_ref.core", "verify"), {}
    setting.give()
    twin, optimizers = setting.twin, setting.twin.optimizers(lr=pairs.LR)
    average, noise = torch_core.snapshot(twin), steps.watched(twin, optimizers)
    dropped = getattr(setting.family, "dropped", {})  # what a stranger's port has not
    kept = lambda tree: {key: x for key, x in tree.items() if key not in dropped}
    for i in range(count):
        metrics = torch_core.update(twin.train(), optimizers, *pairs.to_torch(setting.family, setting.step(i)))
        average = torch_core.average(average, twin)
        told[str(i + 1)] = {
            "metrics": pairs.arrays(metrics), "optimizer": slots(twin, optimizers), "noise": kept(noise),
            "state": pairs.arrays(kept(twin.state_dict())), "averages": pairs.arrays(kept(average)),
        }  # fmt: skip
    return told


def slots(twin, optimizers):
    """The running averages that both kinds of optimisers keep, by our names of them."""
    names, told = {value: key for key, value in twin.named_parameters()}, {}
    for player, optimizer in optimizers.items():
        for ours, theirs in steps.SLOTS.items():
            for weight, kept in optimizer.state.items():
                found = next((kept[name] for name in theirs if kept.get(name) is not None), None)
                if found is not None:
                    told[f"{player}, {ours} of {names[weight]}"] = pairs.array(found)
    return told


def sampled(setting, draws):
    """From the weights that the twin has."""
    return {"image": sides.their_samples(setting.twin, setting.family, jax.tree.map(np.asarray, draws))}
