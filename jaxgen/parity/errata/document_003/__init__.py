"""A GAN of fully connected layers; no line of its training loop works. Its nets are those of document 004, with the
keys `model.N` where that has `main.N`: jaxgen loads files of both (`test_weights.py`). The mended loop is that of
document 004, `torch_ref/documented/mlp_gan.py`."""
