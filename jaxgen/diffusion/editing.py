"""Images that are changed, not made anew: from the middle of the way, back to their noise, between two of them."""

import jax.numpy as jnp

from jaxgen.diffusion import multistep
from jaxgen.diffusion.schedules import at_least_single
from jaxgen.errors import UserError


def begun(image, noise, path, strength):
    """-> x, path: `image` with noise at the point that leaves the share `strength` of the steps (SDEdit: Meng et al.,
    2022). Sample from there; 1 keeps nothing of the image but what the first point holds, 0 changes nothing."""
    if not 0 < strength <= 1:
        raise UserError(f"strength: expected more than 0 and at most 1, got {strength}.")
    steps = len(path.time) - 1
    rest = path[steps - max(1, round(strength * steps)) :]
    alpha, sigma = (at_least_single(value[0], image) for value in (rest.alpha, rest.sigma))
    return alpha * image + sigma * noise, rest


def inverted(denoise, image, path):
    """The noise that DDIM would turn into `image` (Song et al., 2021, section 4.3): its steps backwards. The image is
    taken for the last noisy point of `path`, the better the smaller its sigma."""
    way = path[:-1] if path.sigma[-1] == 0 else path
    return multistep.ddim(denoise, image, way[::-1])


def slerp(a, b, share):
    """On the great circle from a to b, image by image: of two noises again a noise (Song et al., 2021, D.5)."""
    axes = tuple(range(1, a.ndim))
    dot = lambda a, b: (a * b).sum(axes, keepdims=True)
    angle = jnp.arccos(jnp.clip(dot(a, b) / jnp.sqrt(dot(a, a) * dot(b, b)), -1, 1))
    near = angle < 1e-4
    safe = jnp.where(near, 1.0, angle)
    parts = jnp.sin((1 - share) * safe) / jnp.sin(safe), jnp.sin(share * safe) / jnp.sin(safe)
    return jnp.where(near, (1 - share) * a + share * b, parts[0] * a + parts[1] * b)
