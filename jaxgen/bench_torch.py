"""PyTorch's side of the benchmarks: where it runs, in what precision, and in which modes of its compiler."""

import copy
import logging
import time
from contextlib import contextmanager

import jax

from jaxgen.errors import needs
from jaxgen.parity.processes import cores


def device():
    """That of JAX, where PyTorch has it too."""
    torch = needs("torch", "verify")
    return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"


def on_all_cores():
    """Its own number is that of the machine, which a container may not be given whole."""
    needs("torch", "verify").set_num_threads(cores())


def told():
    """What of PyTorch a reader of the numbers should know."""
    torch = needs("torch", "verify")
    gpu = {"torch device": torch.cuda.get_device_name()} if device() == "cuda" else {}
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), **gpu}


def finished():
    """Now, once everything asked for is done."""
    if device() == "cuda":
        needs("torch", "verify").cuda.synchronize()
    return time.perf_counter()


@contextmanager
def at_precision(policy):
    """torch's flags for a policy of `precision.py`: float32, or its products in TF32."""
    torch = needs("torch", "verify")
    flags = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [flag.allow_tf32 for flag in flags], torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        for flag in flags:
            flag.allow_tf32 = policy != "float32"
        yield
    finally:
        for flag, was in zip(flags, before[0], strict=True):
            flag.allow_tf32 = was
        torch.backends.cudnn.benchmark = before[1]


def rivals(twin, compiled, policy="float32"):
    """{side: the twin with the same keys and weights}: as it is, and as torch.compile and layouts may make it
    faster."""
    torch, gpu = needs("torch", "verify"), device() == "cuda"
    logging.getLogger("torch").setLevel(logging.CRITICAL)  # a mode that fails is told in one line
    twin = twin.to(device())
    sides = {"torch": twin} | (
        {"channels last": copy.deepcopy(twin).to(memory_format=torch.channels_last)} if gpu else {}
    )
    modes = ({"compiled": {}} | ({"cudagraphs": {"mode": "reduce-overhead"}} if gpu else {})) if compiled else {}
    sides |= {side: copy.deepcopy(twin) for side in modes}
    for side, each in sides.items():
        for net in each.children():
            if policy == "bf16":
                narrow(net)
            if side in modes:
                # else the compiler takes a second size of the same code for one of many, and is slower or fails
                net.compile(dynamic=False, **modes[side])
    return sides


def narrow(net):
    """The net alone under autocast, which refuses the printed BCELoss."""
    torch, plain = needs("torch", "verify"), net.forward
    full = lambda x: x.float() if torch.is_tensor(x) and x.is_floating_point() else x

    def forward(*args):
        with torch.autocast(device(), torch.bfloat16):
            return torch.utils._pytree.tree_map(full, plain(*args))

    net.forward = forward
