"""Work on several things at a time, in threads that wait for children: programs, fixes, proofs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from pyro_fix.verify.lab import Lab
from pyro_fix.watch import Phase, Progress, TaskDone

T = TypeVar("T")
R = TypeVar("R")

#: Seconds between two looks of the main thread at what has been asked of it.
WAKE = 0.5


def each(words: str, items: Sequence[T], work: Callable[[T], R], lab: Lab, threads: int, progress: Progress) -> list[R]:
    """What ``work`` makes of every item, in their order; ``words`` name the phase.  An exception ends all of it."""

    def task(item: T) -> R:
        made = work(item)
        progress(TaskDone())
        return made

    if items:
        progress(Phase(words, len(items)))
    found = []
    pool = ThreadPoolExecutor(max(threads, 1))
    try:
        for done in [pool.submit(task, item) for item in items]:
            # Ctrl-C may have gone to another thread, which does not wake this one.
            while not wait([done], timeout=WAKE).done:
                pass
            found.append(done.result())
    except BaseException:
        lab.cancel()
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()
    return found
