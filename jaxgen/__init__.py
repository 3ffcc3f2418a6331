"""jaxgen: generative models in functional Flax, each with a PyTorch twin, and a proof that the two agree."""

__version__ = "0.1.0"
