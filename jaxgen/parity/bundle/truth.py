"""What the PyTorch side of a case answers, as arrays. Needs torch."""

import jax
import numpy as np

from jaxgen.errors import needs
from jaxgen.parity import pairs, sides, steps
from jaxgen.parity.bundle.rows import asked


def turns(setting):
    """{kind: {player: what `sides.their_turn` tells}}."""
    answer = lambda player, given, train: sides.their_turn(setting.twin, setting.family, player, given, train)
    told: dict[str, dict] = {}
    for kind, (given, train) in asked(setting.turn()).items():
        for player in setting.family.players:
            setting.give()
            told.setdefault(kind, {})[player] = answer(player, given, train)
    return told


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
    for i in range(count):
        metrics = torch_core.update(twin.train(), optimizers, *pairs.to_torch(setting.family, setting.step(i)))
        average = torch_core.average(average, twin)
        kept = lambda tensors: pairs.arrays({k: x for k, x in tensors.items() if k not in dropped(setting)})
        told[str(i + 1)] = {
            "metrics": pairs.arrays(metrics), "optimizer": slots(twin, optimizers), "state": kept(twin.state_dict()),
            "averages": kept(average), "noise": dict(noise),
        }  # fmt: skip
    return told


def dropped(setting):
    """The tensors that a stranger's port has not."""
    return getattr(setting.family, "dropped", {})


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
