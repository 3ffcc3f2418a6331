"""The training loop of document 001's VAE on the bare net, its printed lines in their order. The noise comes from
outside."""

import torch
from torch import nn


def train(family, dataloader, lr=1e-3):
    """`dataloader` yields (images in [0, 1], eps); -> the loss of the last batch."""
    model = family.vae
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    reconstruction_loss = nn.MSELoss()
    for x, eps in dataloader:
        x = (x - 0.5) / 0.5  # the printed Normalize
        x = x.reshape(x.shape[0], -1)
        recon_x, mu, logvar = model(x, eps)
        loss = reconstruction_loss(recon_x, x) + torch.mean(
            -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (loss,)


def arguments(batch, draws):
    """What one step of the loop takes of a batch and its draws."""
    return batch["image"], draws["eps"]


family = "vae"
matches = dict(likelihood="documented")  # the family's arguments that say what the loop prints
