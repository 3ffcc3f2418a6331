"""The training loop of document 004 on the bare nets, its printed lines in their order. The noise comes from
outside."""

import torch
from torch import nn, optim


def train(family, dataloader, lr=0.0002):
    """`dataloader` yields (imgs, z); -> the losses of the last batch."""
    G, D, criterion = family.gen, family.disc, nn.BCELoss()
    g_optimizer = optim.Adam(G.parameters(), lr=lr)
    d_optimizer = optim.Adam(D.parameters(), lr=lr)
    for imgs, z in dataloader:
        real_imgs = imgs.reshape(imgs.size(0), -1)
        # mended: printed with a fixed batch_size, which the last batch of an epoch has not
        real_labels = torch.ones(imgs.size(0), 1, dtype=imgs.dtype, device=imgs.device)
        fake_labels = torch.zeros(imgs.size(0), 1, dtype=imgs.dtype, device=imgs.device)

        fake_imgs = G(z)
        real_loss = criterion(D(real_imgs), real_labels)
        fake_loss = criterion(D(fake_imgs.detach()), fake_labels)
        d_loss = real_loss + fake_loss
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()

        g_loss = criterion(D(fake_imgs), real_labels)
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()
    return d_loss, g_loss


def arguments(batch, draws):
    """What one step of the loop takes of a batch and its draws."""
    return batch["image"], draws["z"]


family = "mlp_gan"
matches = dict(objective="documented")  # the family's arguments that say what the loop prints
