"""Batches made ahead of time in another thread, and work spread over several."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


def ahead(take: Callable[[Any], Any], plan: Iterable[Any], depth: int = 2) -> Iterator[Any]:
    """take(rows) for each element of `plan`, `depth` of them made ahead. Close the generator to end the thread early;
    what `take` raises is raised here."""
    waiting: deque[Future] = deque()
    with ThreadPoolExecutor(1, "jaxgen-ahead") as pool:
        try:
            for rows in plan:
                waiting.append(pool.submit(take, rows))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def spread(work: Callable[[int], None], count: int, workers: int):
    """work(i) for every i below `count`. Threads are enough: Pillow lets go of the interpreter while it decodes."""

    def share(first):
        for i in range(first, count, workers):
            work(i)

    with ThreadPoolExecutor(workers, "jaxgen-decode") as pool:
        for done in [pool.submit(share, first) for first in range(workers)]:
            done.result()
