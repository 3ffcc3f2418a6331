"""What may stop a run: signals, and numbers that are not finite."""

import signal
import sys
import threading
from contextlib import contextmanager

import numpy as np

from jaxgen.errors import Diverged

LOWER = "What was saved is as it was; try a lower --lr under another --name."


@contextmanager
def signals():
    """A list that holds the signal which asked to stop; the second Ctrl-C is not waited for."""
    asked = []

    def note(number, frame):
        asked.append(number)
        print("stopping after these steps, and saving", file=sys.stderr, flush=True)
        signal.signal(signal.SIGINT, before[signal.SIGINT])

    if threading.current_thread() is not threading.main_thread():  # Python allows no handlers there
        yield asked
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def refuse_odd(metrics, finite, first, last):
    """Stop at the first of the steps `first` to `last` with a loss that is not finite, and name the nets that are
    spoilt."""
    odd = {key: int(np.argmin(np.isfinite(x))) for key, x in metrics.items() if not np.isfinite(x).all()}
    nets = [net for net, fine in finite.items() if not fine]
    if not (odd or nets):
        return
    spoilt = f"weights of {', '.join(nets)} not finite by step {last}" if nets else ""
    if not odd:
        raise Diverged(f"{spoilt}. {LOWER}")
    step = min(odd.values())
    names = [key for key, place in odd.items() if place == step]
    verb = "are" if len(names) > 1 else "is"
    raise Diverged(
        f"step {first + step + 1}: {', '.join(names)} {verb} not finite{'; ' * bool(spoilt)}{spoilt}. {LOWER}"
    )
