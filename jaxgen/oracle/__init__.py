"""An oracle for diffusion: data of which everything is known, and so what a sampler, a loss, a likelihood must be.

from jaxgen import oracle
data = oracle.Gaussian(mean=0.0, std=0.5)
found = oracle.moments(lambda denoise, x, noise: your_sampler(denoise, x, noise), data)
print(found.mean, found.std)    # exact, to compare with 0, 0.5 or with `oracle.exact`, for as many steps
"""

from jaxgen.oracle import controls, exact, floors, orders
from jaxgen.oracle.affine import Moments, moments
from jaxgen.oracle.densities import Gaussian, Mixture

__all__ = ["Gaussian", "Mixture", "Moments", "controls", "exact", "floors", "moments", "orders"]
