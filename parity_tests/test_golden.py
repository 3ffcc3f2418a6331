"""The JAX side against numbers written down once, so that another JAX, Flax or Optax is checked without torch:
`python parity_tests/test_golden.py` writes golden.json anew."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from names import EACH, NAMES, small

from jaxgen import find, weights
from jaxgen.parity import pairs

FILE = Path(__file__).parent / "golden.json"


def digest(name):
    """{array: its projection on a fixed direction, and its norm} after three steps, and of a sample."""
    family = small(name)
    txs = family.optimizers(lr=pairs.LR)
    state, batches, update = pairs.start(family, txs), pairs.batches(family, 3), pairs.updates(family, txs)
    for i in range(3):
        batch = pairs.at(batches, i)
        state, metrics = update(state, batch, family.draw(jax.random.key(i), batch))
    arrays = {**metrics, **weights.to_state_dict(state.params, state.stats)}
    arrays |= {f"average of {key}": x for key, x in weights.to_state_dict(**state.ema).items()}
    arrays["sample"] = family.sample(state.params, state.stats, family.draw_sample(jax.random.key(0), 2))
    return {key: [float(x) for x in projected(np.asarray(x, np.float64).ravel())] for key, x in arrays.items()}


def projected(x):
    return (x * np.cos(np.arange(x.size))).sum(), np.sqrt((x**2).sum())


@pytest.mark.parametrize("name", EACH, ids=find.label)
def test_golden(name):
    have, want = digest(name), json.loads(FILE.read_text())[find.label(name)]
    assert have.keys() == want.keys()
    for key, (projection, norm) in want.items():
        gate = 1e-8 if "bias" in key else 1e-9  # a bias before BatchNorm carries Adam's round-off, as verify tells
        np.testing.assert_allclose(have[key], (projection, norm), rtol=0, atol=gate * max(norm, 1e-3), err_msg=key)


if __name__ == "__main__":
    with jax.enable_x64(True):
        golden = {find.label(name): digest(name) for name in NAMES}
    FILE.write_text(json.dumps(golden, indent=1, sort_keys=True) + "\n")
