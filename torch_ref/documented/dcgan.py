"""The GANTrainer of document 002 on the bare nets, its printed lines in their order. The noise comes from outside."""

import torch
from torch import nn, optim


def train(family, dataloader, lr=0.0002, beta1=0.5):
    """`dataloader` yields (images, z); -> the losses of the last batch."""
    generator, discriminator, criterion = family.gen, family.disc, nn.BCELoss()
    optimizer_G = optim.Adam(generator.parameters(), lr=lr, betas=(beta1, 0.999))
    optimizer_D = optim.Adam(discriminator.parameters(), lr=lr, betas=(beta1, 0.999))
    for real_imgs, z in dataloader:
        batch_size = real_imgs.size(0)
        real_labels = torch.ones(batch_size, dtype=real_imgs.dtype, device=real_imgs.device)
        fake_labels = torch.zeros(batch_size, dtype=real_imgs.dtype, device=real_imgs.device)
        # the discriminator
        optimizer_D.zero_grad()
        output_real = discriminator(real_imgs)
        loss_real = criterion(output_real, real_labels)
        fake_imgs = generator(z)
        output_fake = discriminator(fake_imgs.detach())
        loss_fake = criterion(output_fake, fake_labels)
        loss_D = (loss_real + loss_fake) / 2
        loss_D.backward()
        optimizer_D.step()
        # the generator
        optimizer_G.zero_grad()
        output_fake = discriminator(fake_imgs)
        loss_G = criterion(output_fake, real_labels)
        loss_G.backward()
        optimizer_G.step()
    return loss_D, loss_G


def arguments(batch, draws):
    """What one step of the loop takes of a batch and its draws."""
    return batch["image"], draws["z"]


family = "dcgan"
matches = dict(objective="documented_half")  # the family's arguments that say what the loop prints
