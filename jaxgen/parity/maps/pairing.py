"""Which JAX layer stands for which torch layer: by override, by name, by what they are given, by order."""

import re
from collections import defaultdict
from itertools import permutations

from jaxgen.errors import UserError
from jaxgen.parity.maps.parts import parts

AUTOMATIC = re.compile(r"[A-Z]\w*_\d+")  # a Linen layer that nobody named: Conv_0
MOST = 4  # layers of which every order is tried


class Pairs:
    """The layers of both sides and who belongs to whom: `partner` {torch path: JAX path}, `reason` of each."""

    def __init__(self, theirs, ours, aliases, claimed):
        self.theirs, self.ours, self.aliases, self.claimed = theirs, ours, aliases, claimed
        self.partner, self.reason, self.back, self.known = {}, {}, {}, {}

    def join(self, a, b, reason):
        self.partner[a], self.reason[a], self.back[b] = b, reason, a

    def parts(self, a, b):
        """With a tied tensor where JAX has one of its own, without it where JAX has not."""
        if (a, b) not in self.known:
            ways = (parts(self.theirs[a], self.ours[b], self.claimed | aside) for aside in (set(), self.aliases.keys()))
            self.known[a, b] = next((way for way in ways if way is not None), None)
        return self.known[a, b]

    def fits(self, a, b):
        return a not in self.partner and b not in self.back and bool(self.parts(a, b))

    def left(self):
        """Layers without a partner, on either side."""
        return [a for a in self.theirs if a not in self.partner], [b for b in self.ours if b not in self.back]

    def candidates(self, b):
        """Torch layers that could be this JAX layer, those of its kind first and only, if there are some."""
        fitting = [a for a in self.left()[0] if self.fits(a, b)]
        same = [a for a in fitting if self.theirs[a].kind == self.ours[b].kind]
        return same or fitting


def words(path):
    """A path in letters and numbers alone: blocks.0.conv1, blocks_0/conv1 and blocks/layers/0/conv_1 are one; None if a
    part of it was named automatically, which says nothing."""
    parts_ = [part.removeprefix("layers_") for part in re.split(r"[./]", path) if part not in ("layers", "")]
    if any(AUTOMATIC.fullmatch(part) for part in parts_):
        return None
    return tuple(word for part in parts_ for word in re.findall(r"[a-z]+|\d+", part.lower()))


def by_name(pairs):
    """Numbers count only where both sides number the same: of main.0, main.2 and 0, 1 none says anything."""
    there, here = ({path: words(path) for path in side} for side in (pairs.theirs, pairs.ours))
    siblings = [numbers(side.values()) for side in (there, here)]
    for b, name in here.items():
        same = [a for a in there if there[a] == name is not None]
        trusted = name is not None and all(siblings[0][key] == siblings[1][key] for key in prefixes(name))
        if len(same) == 1 and list(here.values()).count(name) == 1 and trusted and pairs.fits(same[0], b):
            pairs.join(same[0], b, "same name")


def prefixes(name):
    return [name[:i] for i, word in enumerate(name) if word.isdigit()]


def numbers(names):
    """{what stands before a number: all the numbers behind it}."""
    found = defaultdict(set)
    for name in filter(None, names):
        for prefix in prefixes(name):
            found[prefix].add(name[len(prefix)])
    return found


def by_inputs(pairs, context):
    """The JAX model runs, and each layer that is called and has no partner yet gets the one that is given the same."""
    groups = []

    def stranger(path, inputs):
        if found := pairs.candidates(path):
            same = [a for a in found if context.given_same(a, path, inputs)]
            told = "given the same input" if len(same) == 1 else order_reason(pairs, (same or found)[0])
            groups.extend([set(same)] if len(same) > 1 and not any(set(same) <= group for group in groups) else [])
            pairs.join((same or found)[0], path, told)
        return pairs.back.get(path)

    context.run({}, stranger=stranger)
    context.visible(pairs.left()[1])
    for group in groups:
        by_outputs(pairs, context, [a for a in pairs.theirs if a in group and a in pairs.partner])


def by_outputs(pairs, context, group):
    """Layers that are given the same, as queries, keys and values are: which output goes where tells who is who."""
    partners = [pairs.partner[a] for a in group]
    swaps = [swapped(partners, i) for i in range(len(partners) - 1)]
    ways = permutations(partners) if len(partners) <= MOST else [partners, *swaps]
    ways = [way for way in ways if all(map(pairs.parts, group, way))]

    def run(way):
        for a, b in zip(group, way, strict=True):
            pairs.join(a, b, pairs.reason[a])
        return context.tried()

    if len(ways) > 1:
        choice = context.choose([run(way) for way in ways])
        for i, (a, b) in enumerate(zip(group, ways[choice.taken], strict=True)):
            told = f"of {len(group)} given the same input" if choice.settled else f"{i + 1} of {len(group)} by order"
            pairs.join(a, b, f"{told}, {choice.text}")


def swapped(items, i):
    return [*items[:i], items[i + 1], items[i], *items[i + 2 :]]


def by_order(pairs):
    """The rest, in the order in which they are defined or called, each with the first that fits."""
    for b in pairs.left()[1]:
        if found := pairs.candidates(b):
            pairs.join(found[0], b, order_reason(pairs, found[0]))


def order_reason(pairs, a):
    kind = pairs.theirs[a].kind
    place = [path for path, layer in pairs.theirs.items() if layer.kind == kind].index(a) + 1
    return f"by order: {type(pairs.theirs[a].module).__name__} {place}"


def complete(pairs):
    """Nobody may be left over, unless its tensors have rules of their own."""
    settled = pairs.claimed | pairs.aliases.keys()
    free = lambda layer: {name for name, _ in layer.tensors.values()} - settled
    left = zip(("PyTorch", "JAX"), (pairs.theirs, pairs.ours), pairs.left(), strict=True)
    alone = {side: [layers[x] for x in names if free(layers[x])] for side, layers, names in left}
    if not any(alone.values()):
        return
    told = [f"{side} {', '.join(map(str, some[:3]))}{' ...' * (len(some) > 3)}" for side, some in alone.items() if some]
    a, b = (
        (alone[side][0].path if alone[side] else other)
        for side, other in (("PyTorch", "torch.path"), ("JAX", "jax/path"))
    )
    raise UserError(
        f"weight map: no partner with tensors that fit for {'; nor for '.join(told)}. Make the layers agree, or give "
        f"overrides: {{{a!r}: {b!r}}} for a pair, a Rule for tensors, constant(0.0) for a tensor that one side has not."
    )
