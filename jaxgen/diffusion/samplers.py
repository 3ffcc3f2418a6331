"""All samplers, by name: `sampler(denoise, x, path, noise=None, ..., frames=0)`, a pure function.

`denoise(x, node) -> x_0`; x (N, ...) at the first point of `path`; `path` (steps + 1 points, the last one the data);
`noise(i) -> z`, shaped as x, for those that add noise. Each is one scan, compiled once.

With `frames` it returns so many images on the way, the first and the last among them, along a leading axis."""

from jaxgen.diffusion.karras import euler, heun, rk4
from jaxgen.diffusion.multistep import ancestral, ddim, dpmpp_2m, dpmpp_2m_sde
from jaxgen.diffusion.unipc import unipc

__all__ = ["ancestral", "ddim", "dpmpp_2m", "dpmpp_2m_sde", "euler", "heun", "rk4", "unipc"]
