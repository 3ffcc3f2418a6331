"""The training loop of document 001's GAN on the bare nets, its printed lines in their order. The noise comes from
outside."""

import torch
from torch import nn, optim


def train(family, dataloader, lr=0.0002):
    """`dataloader` yields (real_images, noise); -> the losses of the last batch."""
    generator, discriminator, criterion = family.gen, family.disc, nn.BCELoss()
    optimizerD = optim.Adam(discriminator.parameters(), lr=lr)
    optimizerG = optim.Adam(generator.parameters(), lr=lr)
    for real_images, noise in dataloader:
        # mended: the labels are printed without the device of the images, the noise without its two axes of size 1
        real_labels = torch.ones(real_images.size(0), dtype=real_images.dtype, device=real_images.device)
        fake_labels = torch.zeros(real_images.size(0), dtype=real_images.dtype, device=real_images.device)
        # the discriminator on real images
        discriminator.zero_grad()
        output = discriminator(real_images)
        errorD_real = criterion(output, real_labels)
        errorD_real.backward()
        # and on fake ones
        fake_images = generator(noise)
        output = discriminator(fake_images.detach())
        errorD_fake = criterion(output, fake_labels)
        errorD_fake.backward()
        errorD = errorD_real + errorD_fake
        optimizerD.step()
        # the generator
        generator.zero_grad()
        output = discriminator(fake_images)
        errorG = criterion(output, real_labels)
        errorG.backward()
        optimizerG.step()
    return errorD, errorG


def arguments(batch, draws):
    """What one step of the loop takes of a batch and its draws."""
    return batch["image"], draws["z"]


family = "dcgan"
matches = dict(size=32, channels=3, objective="documented")  # the family's arguments that say what the loop prints
rates = dict(betas=(0.9, 0.999))  # and those of its optimizers
