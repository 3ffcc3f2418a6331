"""The codes of a model that has them: `jaxgen latent RUN ACTION`, or from Python, one call each. The arrays are given
back; with `out` they are written too.

from jaxgen import latent
codes = latent.encode("runs/vae-digits")                  # {"mean", "logvar", "label"} of the held-out images
images = latent.decode("runs/vae-digits", codes["mean"])  # uint8 (N, H, W, C)
print(latent.likelihood("runs/vae-digits"))               # negative ELBO, and the importance-weighted estimate
"""

from jaxgen.latent.bounds import Likelihood, likelihood
from jaxgen.latent.codes import decode, encode, reconstruct
from jaxgen.latent.maps import embed
from jaxgen.latent.walks import interpolate, traverse

__all__ = ["Likelihood", "decode", "embed", "encode", "interpolate", "likelihood", "reconstruct", "traverse"]
