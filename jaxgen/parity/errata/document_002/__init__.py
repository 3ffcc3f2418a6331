"""The largest: a DCGAN for 64 pixels, a diffusion process with its UNet, a Wasserstein GAN with gradient penalty, a
conditional GAN, accelerated sampling, measures and deployment. The mended loop of its GAN is
`torch_ref/documented/dcgan.py`."""
