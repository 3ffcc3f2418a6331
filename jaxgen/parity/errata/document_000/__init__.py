"""A text-to-image engine in fragments, printed without line breaks: preparation of data, a DCGAN, a noising function,
tricks of training, a trainer conditioned on text, deployment."""
