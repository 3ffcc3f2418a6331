"""Where torch raises and JAX goes on"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen, nnx

from jaxgen import nn
from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Differs, Fact, off
from jaxgen.parity.semantics.sides import agreed, arrays, filled, flax, normal, ours, quick, raised, tensor

torch = needs("torch", "verify")


def _number(x):
    return float(np.asarray(x).ravel()[0])


def embedding_index():
    """Embedding: an index beyond the end
    torch: `IndexError`
    jax: `nan`
    do: check integers where a batch comes in
    """
    weight, index = normal(4, 3), np.array([4])
    make = lambda rngs: nnx.Embed(4, 3, param_dtype=float, rngs=rngs)
    found = flax(linen.Embed(4, 3), make, index, embedding=weight)
    found += ours(nn.Embedding(4, 3), {"weight": weight}, index)[0]
    told = raised(lambda: torch.nn.functional.embedding(tensor(index), tensor(weight)))
    return Fact(told, agreed(*(str(_number(y)) for y in found)))


def embedding_negative():
    """Embedding: index -1
    torch: `IndexError`
    jax: `last row`: counts from the end
    do: check integers where a batch comes in; jaxgen.nn.Embedding gives NaN
    """
    weight, index = normal(4, 3), np.array([-1])
    found = flax(linen.Embed(4, 3), lambda rngs: nnx.Embed(4, 3, param_dtype=float, rngs=rngs), index, embedding=weight)
    mine = ours(nn.Embedding(4, 3), {"weight": weight}, index)[0][0]
    told = raised(lambda: torch.nn.functional.embedding(tensor(index), tensor(weight)))
    names = ["last row" if np.array_equal(np.ravel(y), weight[-1]) else "other" for y in found]
    return Fact(told, agreed(*names), [0.0 if np.isnan(mine).all() else np.inf])


def embedding_type():
    """Embedding: the type of a loaded weight
    torch: the output has the weight's
    jax: nnx.Embed rounds to the type it was made with, float32 unless told
    do: nnx.Embed(..., param_dtype=jnp.float64); linen.Embed and jaxgen.nn.Embedding follow the weight
    """
    weight, index = normal(4, 3), np.arange(4)
    stock = lambda **how: flax(
        linen.Embed(4, 3), lambda rngs: nnx.Embed(4, 3, rngs=rngs, **how), index, embedding=weight
    )
    want, mine = torch.nn.functional.embedding(tensor(index), tensor(weight)), nn.Embedding(4, 3)
    mapped = [*stock(param_dtype=jnp.float64), *ours(mine, {"weight": weight}, index)[0]]
    return Differs(off(want, stock()[1]), off(want, *mapped), least=1e-9)  # the digits of float32


def label():
    """Cross entropy: label 5 of 5 classes
    torch: `IndexError`
    jax: `nan` from optax; label -1 is the last class
    do: check labels where a batch comes in
    """
    x, loss = normal(1, 5), optax.softmax_cross_entropy_with_integer_labels
    beyond, last, right = quick(lambda x: [loss(x, jnp.array([label])) for label in (5, -1, 4)], x)
    theirs = lambda label: torch.nn.functional.cross_entropy(tensor(x), torch.tensor([label]))
    told = raised(lambda: theirs(5)), raised(lambda: theirs(-1))
    return Fact(agreed(*told), str(_number(beyond)), [abs(_number(last) - _number(right))])


def timestep():
    """A table read at time step 1000 of 1000
    torch: `IndexError`
    jax: `the last entry`
    do: table.at[t].get(mode="fill", fill_value=jnp.nan) shows it; or check t where it is drawn
    """
    table, t = np.linspace(1e-4, 0.02, 1000), np.array([1000])
    fill = {"mode": "fill", "fill_value": jnp.nan}
    value, filled_in = quick(lambda table, t: [table[t].sum(), table.at[t].get(**fill)], table, t)
    told = raised(lambda: tensor(table)[tensor(t)])
    read = "the last entry" if value == table[-1] else float(value)
    return Fact(told, read, [0.0 if np.isnan(filled_in).all() else np.inf])


def unexpected_key():
    """A parameter that the module does not have
    torch: `RuntimeError` from load_state_dict
    jax: `applied`: linen ignores it
    do: compare the trees' keys before; jaxgen.weights does
    """
    held = arrays(torch.nn.Linear(3, 2)) | {"scale": np.ones(2)}
    params = {"kernel": held["weight"].T, "bias": held["bias"], "scale": held["scale"]}
    load = lambda: torch.nn.Linear(3, 2).load_state_dict({name: tensor(x) for name, x in held.items()})
    apply = lambda: linen.Dense(2).apply({"params": params}, normal(1, 3)) is not None and "applied"
    return Fact(raised(load), raised(apply))


def param_dtype():
    """Parameters of Flax under jax_enable_x64
    torch: layer.double() makes them `float64`
    jax: `float32`, param_dtype's default: a proof in float64 is none
    do: param_dtype=jnp.float64, or jaxgen.nn, whose arrays follow jax_enable_x64
    """
    stock = filled(lambda rngs: nnx.Linear(3, 2, rngs=rngs)).kernel.get_value().dtype.name
    module = linen.Dense(2)
    held = jax.eval_shape(lambda: module.init(jax.random.key(0), np.ones((1, 3))))["params"]["kernel"].dtype.name
    cured = filled(lambda rngs: nnx.Linear(3, 2, param_dtype=jnp.float64, rngs=rngs)).kernel.get_value().dtype
    theirs = str(torch.nn.Linear(3, 2).double().weight.dtype).removeprefix("torch.")
    return Fact(theirs, agreed(stock, held), [0.0 if cured == np.float64 else np.inf])
