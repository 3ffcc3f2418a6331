"""Numbers: reductions, schedules, types, precision"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxgen.errors import needs
from jaxgen.parity.semantics.found import Agrees, Differs, Fact, off
from jaxgen.parity.semantics.sides import array, normal, raised, slope_jax, tensor

torch = needs("torch", "verify")


def std():
    """std, var
    torch: divide by n - 1
    jax: by n
    do: ddof=1
    """
    x = normal(7)
    theirs, naive = [x.numpy() for x in (tensor(x).std(), tensor(x).var())], (jnp.std(x), jnp.var(x))
    mapped = jnp.std(x, ddof=1), jnp.var(x, ddof=1)
    return Differs(off(theirs[0], naive[0]) + off(theirs[1], naive[1]), off(np.stack(theirs), np.stack(mapped)))


def normalize():
    """F.normalize
    torch: x / max(norm, 1e-12), so 0 stays 0
    jax: none; x / norm gives NaN
    do: x / jnp.maximum(norm, 1e-12)
    """
    x = np.stack([np.zeros(4), normal(4)])
    norm = lambda x: jnp.linalg.norm(x, axis=1, keepdims=True)
    want = torch.nn.functional.normalize(tensor(x))
    return Differs(off(want, x / norm(x)), off(want, x / jnp.maximum(norm(x), 1e-12)))


def median():
    """median of an even number
    torch: the lower of the middle two
    jax: their mean
    do: jnp.sort(x)[(n - 1) // 2]
    """
    x = normal(8)
    want = tensor(x).median()
    return Differs(off(want, jnp.median(x)), off(want, jnp.sort(x)[3]))


def max_ties():
    """max: gradient where several are largest
    torch: max(dim) gives it to one; max() and amax() split it evenly
    jax: jnp.max splits it
    do: jnp.take_along_axis(x, jnp.argmax(x, axis, keepdims=True), axis) for max(dim)
    """
    x = np.array([[1.0, 3.0, 3.0, 2.0], [5.0, 4.0, 5.0, 5.0]])

    def theirs(reduce):
        leaf = tensor(x, grad=True)
        reduce(leaf).sum().backward()
        return array(leaf.grad)

    want, split = theirs(lambda x: x.max(1).values), slope_jax(lambda x: jnp.max(x, 1), x)
    chosen = slope_jax(lambda x: jnp.take_along_axis(x, jnp.argmax(x, 1, keepdims=True), 1), x)
    whole = off(theirs(torch.max), slope_jax(lambda x: jnp.max(x), x))
    return Differs(off(want, split), off(want, chosen) + off(theirs(lambda x: x.amax(1)), split) + whole)


def quantile():
    """quantile, round, clamp
    torch: linear interpolation; half to even; NaN stays, and the upper bound wins where min > max
    jax: the same
    do: nothing
    """
    x, odd = normal(11), np.array([-2.5, -0.5, 0.5, 1.5, np.nan])
    q = np.array([0.0, 0.1, 0.995, 1.0])
    rounded = off(torch.round(tensor(odd)), jnp.round(odd))
    clamped = off(tensor(odd).clamp(1, -1), jnp.clip(odd, 1, -1))
    return Agrees(off(torch.quantile(tensor(x), tensor(q)), jnp.quantile(x, q)) + rounded + clamped)


def quantile_size():
    """quantile of more than 2^24 values (dynamic thresholding)
    torch: raises `RuntimeError`
    jax: takes it and gives `float32`
    do: a quantile for each image, as the papers mean it
    """
    many = 2**24 + 1
    shaped = jax.eval_shape(lambda x: jnp.quantile(x, 0.5), jax.ShapeDtypeStruct((many,), np.float32))
    return Fact(raised(lambda: torch.quantile(torch.empty(many), 0.5)), shaped.dtype.name)


def linspace():
    """linspace in float32
    torch: torch.linspace(1e-4, 0.02, 1000)
    jax: jnp.linspace: a third of the entries differs in the last bit; shown: their share
    do: make constants in NumPy's float64, cast, and give both sides the same array
    """
    low, high, n = 1e-4, 0.02, 1000
    with jax.enable_x64(False):
        ours = np.asarray(jnp.linspace(low, high, n))
    share = float((torch.linspace(low, high, n).numpy() != ours).mean())
    return Differs([share], off(torch.linspace(low, high, n, dtype=torch.float64), np.linspace(low, high, n)))


def cumprod():
    """1 - alphas_cumprod at t = 0, in float32
    torch: 1 - (1 - 1e-4) keeps three digits
    jax: likewise
    do: make schedules in NumPy's float64, then cast
    """
    betas = np.linspace(1e-4, 0.02, 1000)
    want = 1 - np.cumprod(1 - betas)[:1]
    with jax.enable_x64(False):
        ours = 1 - jnp.cumprod(1 - jnp.linspace(1e-4, 0.02, 1000))[:1]
    theirs = 1 - torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)[:1]
    return Differs(off(want, theirs, ours), off(want, want.astype(np.float32)), bound=1e-7)  # half a unit of float32


def integers():
    """Integers
    torch: `int64`
    jax: `int32`, unless jax_enable_x64
    do: cast labels and time steps where they are compared or stored
    """
    with jax.enable_x64(False):
        return Fact(str(torch.arange(3).dtype).removeprefix("torch."), jnp.arange(3).dtype.name)


def floats():
    """float64 given to the default precision
    torch: stays `float64`
    jax: becomes `float32` without a word, unless jax_enable_x64
    do: jax.enable_x64(True) around a proof, before the first array is made
    """
    x = normal(3)
    with jax.enable_x64(False):
        return Fact(str(tensor(x).dtype).removeprefix("torch."), jnp.asarray(x).dtype.name)


def literals():
    """float32 inside float64
    torch: a Python number takes the tensor's type
    jax: so it does, but jnp.float32(0.1), say in a time embedding, brings its rounding along
    do: Python numbers as constants
    """
    x = normal(5)
    want = tensor(x) * 0.1
    return Differs(off(want, jnp.float32(0.1) * x), off(want, 0.1 * jnp.asarray(x)), least=1e-9)  # float32's digits


def matmul_precision():
    """Products of float32 on accelerators
    torch: `highest`: full float32
    jax: `None`, documented as TF32 on GPUs since Ampere and one pass of bfloat16 on TPUs
    do: jax.default_matmul_precision("highest") around what is compared
    """
    with jax.default_matmul_precision("highest"):
        inside = str(jax.make_jaxpr(jnp.matmul)(np.ones((2, 2)), np.ones((2, 2))))
    errors = off(1.0, float("Precision.HIGHEST" in inside))
    return Fact(torch.get_float32_matmul_precision(), jax.config.jax_default_matmul_precision, errors)


def convolution_precision():
    """Convolutions of float32 on GPUs
    torch: torch.backends.cudnn.allow_tf32 is `True`: TF32, though products are not
    jax: the same switch as for products: jax_default_matmul_precision is `None`
    do: torch.backends.cudnn.allow_tf32 = False, and "highest" in JAX; note both beside a result
    """
    return Fact(torch.backends.cudnn.allow_tf32, jax.config.jax_default_matmul_precision)
