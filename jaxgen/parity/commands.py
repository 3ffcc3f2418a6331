"""`jaxgen parity COMMAND`: what there is beside the verdict. Each public function is a command, found by its name."""

from rich.console import Console

from jaxgen import weights
from jaxgen.errors import UserError
from jaxgen.parity.bundle import freeze_command as freeze
from jaxgen.parity.bundle import replay_command as replay
from jaxgen.parity.errata import errata
from jaxgen.parity.named import one
from jaxgen.parity.result import write_json
from jaxgen.parity.semantics import semantics

__all__ = ["diagnose", "errata", "freeze", "map", "replay", "semantics"]


def diagnose(
    case: str = "",  # a family, a family's file, or FILE.py[:CASE]
    twin: str | None = None,  # the PyTorch file of a family that is a file
    score: bool = False,  # instead: how many of the planted faults are named rightly, layer and cause
    processes: int = 0,  # that share the faults; 0: one a core (one alone beside an accelerator)
) -> bool:
    """Name the faulty layer of a case, the cause and the cure; true only if nothing differs."""
    from jaxgen.parity import diagnosis

    if score:
        from jaxgen.parity.diagnosis.score import score as scored

        return scored(Console(), processes)
    if not case:
        raise UserError("diagnose: which case? Give a family, a FILE.py[:CASE], or --score.")
    found = diagnosis.diagnose(one(case, twin))
    Console().print(str(found), soft_wrap=True, highlight=False, markup=False)
    return found.nothing


def map(
    case: str,  # a family, a family's file, or FILE.py[:CASE]
    twin: str | None = None,  # the PyTorch file of a family that is a file
    given: str | None = None,  # a state_dict to convert (.safetensors, .pt); else the weights of the module itself
    write: str | None = None,  # where to write it as the JAX side has it (.safetensors)
    json: str | None = None,  # where to write the map itself
) -> bool:
    """Show which tensor of one side is which of the other, by what steps, and why."""
    from jaxgen.parity.mapping import mapping

    found, state_dict = mapping(one(case, twin))
    Console().print(found.table())
    if json:
        write_json(found.to_json(), json)
    if write:
        weights.write(write, found.to_jax(weights.read(given) if given else state_dict))
    return True
