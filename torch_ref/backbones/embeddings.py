"""Times and places as waves of many lengths (Vaswani et al., 2017)."""

import math

import torch


def sinusoidal(x, features, flip_sin_to_cos=False, freq_shift=0):
    """x (...) -> (..., features): sines, then cosines (flipped: the other way round) of x times rates that fall from 1
    to about 1 / 10000; with `freq_shift` 1 the last is exactly that."""
    if features % 2:
        raise ValueError(f"sinusoidal: expected an even number of features, a sine and a cosine each, got {features}.")
    half = features // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half).double() / (half - freq_shift))  # then rounded
    angles = x[..., None] * rates.to(x)
    waves = torch.sin(angles), torch.cos(angles)
    return torch.cat(waves[::-1] if flip_sin_to_cos else waves, -1)


def places(side, features, like):
    """-> (side side, features): half of the features tell the row of each place, half its column."""
    waves = sinusoidal(torch.arange(side).to(like), features // 2)
    shape = side, side, features // 2
    rows, columns = waves[:, None].expand(shape), waves.expand(shape)
    return torch.cat([rows, columns], -1).reshape(-1, features)
