"""What the players of a GAN, or a VAE, minimise."""

import jax
import jax.numpy as jnp

from jaxgen import nn, objectives
from jaxgen.parity.mutations.planting import Replaced, says


def other(change):
    """`change(objective)` wherever one is asked for by its name."""
    return Replaced(objectives, "named", lambda right: lambda name: change(right(name)))


def halves_forgotten(family):
    """disc_loss = real + fake, where the source takes half of it."""
    return other(lambda right: right._replace(disc=lambda real, fake: 2 * right.disc(real, fake)))


def saturating_generator(family):
    """The minimax loss: the generator minimises log(1 - D), where the source maximises log D."""
    loss = lambda fake, real=None: -nn.binary_cross_entropy_with_logits(fake, jnp.zeros_like(fake))
    return other(lambda right: right._replace(gen=loss))


def labels_exchanged(family):
    """Real images are called 0, generated ones 1, in one of the two losses."""
    return other(lambda right: right._replace(disc=lambda real, fake: right.disc(fake, real)))


def gradient_not_stopped(family):
    """.detach() lost on the way: jax.lax.stop_gradient has another place in the line."""
    if not says(family, "stop_gradient"):  # in a norm it saves time and changes nothing
        return NotImplemented
    return Replaced(jax.lax, "stop_gradient", lambda right: lambda x: x)


def method(family, name, make):
    """That method of the family, or of one of its nets."""
    nets = {net for player in family.players.values() for net in (*player.trains, *player.moves)}
    classes = [type(module) for module in (family.module, *(getattr(family.module, net) for net in sorted(nets)))]
    owner = next((cls for cls in classes if name in vars(cls)), None)
    return Replaced(owner, name, make) if owner else NotImplemented


def variance_for_deviation(family):
    """exp(logvar), where the noise is to be multiplied with exp(logvar / 2)."""
    return method(family, "reparameterize", lambda right: lambda self, mu, logvar, eps: mu + eps * jnp.exp(logvar))


def deviation_for_variance(family):
    """The encoder's second half taken for the deviation itself."""
    return method(family, "reparameterize", lambda right: lambda self, mu, logvar, eps: mu + eps * logvar)


def divergence_averaged(family):
    """The mean over the code, where the source sums over it."""
    return method(family, "divergence", lambda right: lambda self, mu, logvar: right(self, mu, logvar) / mu.shape[1])


def divergence_negated(family):
    """The sign of the bound: it is maximised in the paper, its negative minimised in the code."""
    return method(family, "divergence", lambda right: lambda self, *args: -right(self, *args))
