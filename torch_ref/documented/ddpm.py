"""The `train_diffusion_mnist` of document 002 on the bare net, its printed lines in their order, with the mended
process and network. Times and noise come from outside."""

import torch

from torch_ref.diffusion.process import DiffusionProcess


def train(family, dataloader, lr=1e-4):
    """`dataloader` yields (images, t, noise); -> the loss of the last batch."""
    diffusion = DiffusionProcess(timesteps=family.timesteps)
    model = family.net
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for images, t, noise in dataloader:
        loss = diffusion.p_losses(model, images, t, noise, loss_type="huber")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (loss,)


def arguments(batch, draws):
    """What one step of the loop takes of a batch and its draws."""
    return batch["image"], draws["time"], draws["noise"]


family = "ddpm"
matches = {}  # the family's arguments that say what the loop prints: they are its defaults
