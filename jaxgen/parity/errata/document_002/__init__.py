"""The largest: a DCGAN for 64 pixels, a diffusion process with its UNet, a Wasserstein GAN with gradient penalty, a
conditional GAN, accelerated sampling, measures and deployment. The mended loops are `torch_ref/documented/dcgan.py` and
`ddpm.py`; the mended samplers are `torch_ref/diffusion/process.py` (`test_documented_diffusion.py`)."""
