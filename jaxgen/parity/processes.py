"""Independent cases over the cores: compiling holds one core and is nearly all of the work."""

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import jax

from jaxgen.errors import UserError, needs

FEW, MOST = 4, 8  # below: not worth a start of seconds; above: memory, 1.5 GB a process


def spread(function, tasks, processes=0):
    """-> function(*task) of each task, in their order, each as soon as it is known. `function` is a module's own, tasks
    and results can be pickled. `processes` 0: one a core; one alone beside an accelerator, which they would share."""
    fit = min(cores(), MOST) if jax.default_backend() == "cpu" and len(tasks) >= FEW else 1
    count = min(processes or fit, len(tasks))
    if count < 2:
        yield from (function(*task) for task in tasks)
        return
    threads = max(1, cores() // count)
    with ProcessPoolExecutor(count, get_context("spawn"), alone, (threads,)) as pool:
        futures = [pool.submit(function, *task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        except BrokenProcessPool as error:
            raise UserError("a process ended without a word: too little memory? Try --processes 1.") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def cores():
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def alone(threads):
    """Begins a process: Ctrl-C ends it without a traceback of its own, and torch takes its share of the cores."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    needs("torch", "verify").set_num_threads(threads)
