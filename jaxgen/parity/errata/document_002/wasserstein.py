"""The Wasserstein GAN with gradient penalty."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxgen import core, find
from jaxgen.errors import needs
from jaxgen.functional import Functional
from jaxgen.nn import row_norm
from jaxgen.parity import pairs
from jaxgen.parity.errata.ours import begun
from jaxgen.parity.errata.rows import HAZARD, WRONG, seen

torch = needs("torch", "verify")
nn = torch.nn


class B2_12:
    """The Wasserstein trainer takes the discriminator with its Sigmoid as critic: scores lie in (0, 1), the estimate of
    the distance stays below 1.

    `wgan_gp`, `--objective wasserstein_gp`: the scores are the logits before the Sigmoid. The printed critic is
    `--critic documented`."""

    lines, severity = "108, 417-420", WRONG

    def failure(self):
        end = nn.Sigmoid()
        gap = (end(torch.full((8,), 5.0)) - end(torch.zeros(8))).mean().item()
        return seen(gap < 1, f"data at 5, fakes at 0: estimated {gap:.2f}, the Wasserstein distance is 5")

    def mended(self):
        ours, printed = self.distance("mended"), self.distance("documented")
        told = f"of a steep critic an estimate of {ours:.1f}; {printed:.2f} by the documented one"
        return seen(ours > 1 > printed > 0, told)

    def distance(self, critic):
        """What `wgan_gp` logs, without its sign, of a critic whose last weights are large."""
        family, state = begun("wgan_gp", critic=critic)
        layers = state.params["critic"]["main"]
        layers[max(layers, key=int)]["weight"] *= 1000
        batch = pairs.at(pairs.batches(family, 1), 0)
        given = batch, family.draw(jax.random.key(0), batch)
        told = pairs.quick(lambda: family.loss("critic", state.params, state.stats, *given)[1][0]["distance"])
        return abs(float(told()))


class B2_13:
    """BatchNorm in the critic makes its score of one image depend on the others: the penalty's slopes are no longer
    those of single images.

    `wgan_gp`, and each GAN with `--objective wasserstein_gp`, `r1` or another penalty: norms within an image, or none.
    The printed critic is `--critic documented`."""

    lines, severity = "92-105, 423-441", WRONG

    def failure(self):
        end = nn.LeakyReLU(0.2), nn.Conv2d(8, 1, 4), nn.Flatten()
        critic = nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1), nn.BatchNorm2d(8), *end)
        x = torch.randn(4, 1, 8, 8, requires_grad=True)
        (slopes,) = torch.autograd.grad(critic(x)[0].sum(), x)
        slope = slopes[1:].flatten(1).norm(dim=1).max().item()
        return seen(slope > 1e-3, f"slope of the first score along another image: {slope:.1e}")

    def mended(self):
        mended = [self.slope("wgan_gp"), *(self.slope("dcgan", objective=name) for name in ("wasserstein_gp", "r1"))]
        printed = self.slope("wgan_gp", critic="documented")
        told = ", ".join(f"{slope:.1g}" for slope in mended)
        told = f"{told} in wgan_gp, dcgan with wasserstein_gp and with r1; {printed:.1e} by the documented critic"
        return seen(mended == [0, 0, 0] and printed > 1e-4, told)

    def slope(self, name, **arguments):
        """The largest of the first image's score along another one, the critic in training."""
        family, state = begun(name, **arguments)
        who = next(iter(family.players))
        critic = Functional(getattr(family.module, who))
        call = partial(critic.apply, state.params[who], state.stats.get(who, {}), method="logits")
        slopes = pairs.quick(jax.grad(lambda x: call(x)[0][0]))(np.random.default_rng(1).normal(size=(4, 32, 32, 1)))
        return float(row_norm(slopes[1:]).max())


class B2_14:
    """All five turns of the critic see the same real images; the fakes are not detached, so that each turn also
    computes the generator's gradient for nothing; 100 latents are written in; no loss is kept.

    `wgan_gp`: new images each turn (`--reuse` is the printed form, `--turns` how many), the critic's gradient alone,
    `--latent`, and a log of all losses."""

    lines, severity = "448-461", HAZARD

    def failure(self):
        generator, critic, batches = nn.Linear(3, 4), nn.Linear(4, 1), []
        for real_imgs in torch.randn(2, 8, 4):
            for _ in range(5):
                batches.append(real_imgs.data_ptr())
                (critic(generator(torch.randn(8, 3))).mean() - critic(real_imgs).mean()).backward()
        wasted, count = generator.weight.grad.norm().item(), len(set(batches))
        told = f"10 turns saw {count} batches; the generator's gradient of {wasted:.2f} is never used"
        return seen(wasted > 0 and count == 2, told)

    def mended(self):
        (fresh, critic, gen), (again, *_), wasted = self.played(reuse=False), self.played(reuse=True), self.wasted()
        told = f"the critic moved {critic} times, the generator, whose slopes in its turns are {wasted:.0f}, {gen} time"
        told = f"5 turns of 8 rows saw {fresh} images, with --reuse {again}; {told}"
        return seen((fresh, again, critic, gen, wasted) == (40, 8, 5, 1, 0), told)

    def played(self, reuse):
        """A step of the family's players on 40 images, each net replaced by a number -> how many images the critic saw,
        and how often either net moved."""
        rows, tx, nets = set(), optax.sgd(-1.0), dict.fromkeys(("critic", "gen"), jnp.zeros(()))

        def loss(player, params, stats, batch, draws):
            rows.update(batch["image"].tolist() if player == "critic" else [])
            return params["critic"] + params["gen"], ({}, stats)

        players = find.family("wgan_gp")(size=32, width=1, reuse=reuse).players
        opt = {name: tx.init(core.pick(nets, player.trains)) for name, player in players.items()}
        state = core.State(jnp.zeros((), int), nets, {}, opt, {})
        given = dict.fromkeys(players, tx), state, {"image": jnp.arange(40)}, {}
        with jax.disable_jit():  # the turns are a loop, and `loss` looks at values
            state, _ = core.update(SimpleNamespace(players=players, loss=loss), *given)
        return len(rows), int(state.params["critic"]), int(state.params["gen"])

    def wasted(self):
        """The largest slope of the critic's loss along the generator's weights."""
        family, state = begun("wgan_gp")
        batch = pairs.at(pairs.batches(family, 1), 0)
        draws = family.draw(jax.random.key(0), batch)
        loss = lambda gen: family.loss("critic", {**state.params, "gen": gen}, state.stats, batch, draws)[0]
        return max(float(abs(x).max()) for x in jax.tree.leaves(pairs.quick(jax.grad(loss))(state.params["gen"])))
