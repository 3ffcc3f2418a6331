"""The WGAN_GP_Trainer of document 002 on the bare nets, its printed lines in their order. Noise and mixing weights come
from outside."""

import torch
from torch import optim


def compute_gradient_penalty(discriminator, alpha, real_samples, fake_samples):
    interpolates = (alpha * real_samples + (1 - alpha) * fake_samples).requires_grad_(True)
    d_interpolates = discriminator(interpolates)
    gradients = torch.autograd.grad(
        outputs=d_interpolates,
        inputs=interpolates,
        grad_outputs=torch.ones_like(d_interpolates),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gradients = gradients.reshape(gradients.size(0), -1)
    return ((gradients.norm(2, dim=1) - 1) ** 2).mean()


def train(family, dataloader, lr=0.0001, lambda_gp=10):
    """`dataloader` yields (images, [(z, alpha) of each turn of the critic], z of the generator); -> the losses of the
    last batch."""
    generator, discriminator = family.gen, family.critic
    optimizer_G = optim.Adam(generator.parameters(), lr=lr, betas=(0.5, 0.9))
    optimizer_D = optim.Adam(discriminator.parameters(), lr=lr, betas=(0.5, 0.9))
    for real_imgs, turns, z in dataloader:
        # the critic, several times
        for z_critic, alpha in turns:
            optimizer_D.zero_grad()
            real_validity = discriminator(real_imgs)
            fake_imgs = generator(z_critic)
            fake_validity = discriminator(fake_imgs)
            gradient_penalty = compute_gradient_penalty(discriminator, alpha, real_imgs.data, fake_imgs.data)
            d_loss = -torch.mean(real_validity) + torch.mean(fake_validity) + lambda_gp * gradient_penalty
            d_loss.backward()
            optimizer_D.step()
        # the generator
        optimizer_G.zero_grad()
        gen_imgs = generator(z)
        g_loss = -torch.mean(discriminator(gen_imgs))
        g_loss.backward()
        optimizer_G.step()
    return d_loss, g_loss


def arguments(batch, draws):
    """What one step of the loop takes of a batch and its draws: the turn k has the rows k, k + n, ... of the draws."""
    n = matches["turns"]
    alpha = draws["alpha"][:, None, None, None]
    turns = [(draws["z"][k::n], alpha[k::n]) for k in range(n)]
    return batch["image"][::n], turns, draws["gen_z"][::n]


family = "wgan_gp"
# the family's arguments that say what the loop prints; of the printed five turns of the critic two tell as much
matches = dict(critic="documented", reuse=True, turns=2)
