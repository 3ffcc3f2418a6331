"""The ladder of a bundle: how far PyTorch itself was from the float64 truth in each precision of the machine that froze
it, and whether the port is as near on this one."""

import jax

from jaxgen import precision
from jaxgen.errors import UserError
from jaxgen.parity import ladder


def inputs(trees, turn):
    """-> weights and {kind: turns}, as float32 holds them: what `ladder` gives to both sides."""
    trees, *turns = jax.tree.map(ladder.rounded, [trees, *map(turn, range(ladder.TURNS))])
    return trees, {"random": turns, "large mean": [ladder.far(given) for given in turns]}


def kinds(rung):
    """A narrow product keeps no digits of numbers far from zero."""
    return ("random",) if rung.compute else ("random", "large mean")


def who(kind, player):
    return player if kind == "random" else f"{kind}, {player}"


def truth(setting):
    """-> {kind: {player: {turn: what the twin tells in float64}}}, {rung: {array: the twin's own error in it}}."""
    trees, given = inputs((setting.state.params, setting.state.stats), setting.turn)
    answers = lambda kind, player, rung: [ladder.their_turn(setting, player, trees, x, rung) for x in given[kind]]
    true = {kind: {player: answers(kind, player, None) for player in setting.family.players} for kind in given}
    errors = {}
    for name in ladder.available():
        rung, errors[name] = ladder.RUNGS[name], {}
        for kind in kinds(rung):
            for player in setting.family.players:
                theirs = answers(kind, player, rung)
                rows = ladder.compared(who(kind, player), theirs, theirs, true[kind][player], rung.unit)
                errors[name] |= {named(row): row["theirs"] for row in rows}
    numbered = lambda turns: {str(i): told for i, told in enumerate(turns)}
    return {kind: {player: numbered(x) for player, x in told.items()} for kind, told in true.items()}, errors


def named(row):
    return f"{row['level']}: {row['array']}"


def check(frozen, names):
    """Whether this machine has them, and the bundle too."""
    ladder.check(names)
    if odd := [name for name in names if name not in frozen.rungs]:
        have = ", ".join(frozen.rungs) or "none"
        raise UserError(f"the bundle has no rung {odd[0]!r}: where it was frozen there were {have}.")


def judged(frozen, name):
    """As `ladder.judged`, by the errors that the bundle keeps."""
    rung, (trees, given) = ladder.RUNGS[name], inputs(frozen.trees, frozen.turn)
    with jax.enable_x64(False):
        runs = ladder.our_turns(frozen.family, rung)
        judge = lambda kind, player: judged_turns(frozen, name, trees, given[kind], player, runs[player], kind)
        rows = [row for kind in kinds(rung) for player in runs for row in judge(kind, player)]
    worst = max(rows, key=lambda row: row["ratio"] / row["gate"])
    told = {"rung": name, "device": jax.default_backend(), "ok": all(row["ok"] for row in rows)}
    return told | {"ratio": worst["ratio"], "gate": worst["gate"], "where": named(worst), "rows": rows}


def judged_turns(frozen, name, trees, given, player, run, kind):
    rung, mine = ladder.RUNGS[name], []
    for each in given:
        with precision.scope("tf32" if rung.tf32 else "float32"):
            mine.append(run(*trees, each))
    true = list(frozen.truth["rungs"][kind][player].values())
    for row in ladder.compared(who(kind, player), mine, true, true, rung.unit):
        theirs = float(frozen.rungs[name][named(row)])
        yield ladder.judged_array(row["level"], row["array"], row["size"], row["ours"], theirs, rung.unit)
