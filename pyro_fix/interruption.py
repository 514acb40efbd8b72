"""Ctrl-C, SIGTERM and SIGHUP: an exception in the main thread, so that what was begun is put away; and then an end.

What a stranger's program has set going may keep us from putting it away.  So from the first signal on the time is
measured: when it is over, the process leaves, and what still runs is ended by those that outlive it.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
#: Seconds to put everything away; and after a second signal.
PATIENCE, HASTE = 2.0, 0.3
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

_until: float | None = None
_leaving = _told = False
_last: list[Callable[[], None]] = []
#: Children that end by themselves when we are gone, and have something to do before.
spared: set[int] = set()


def heed() -> None:
    """From here on these signals end this process, whatever it is doing."""
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def at_last(work: Callable[[], None]) -> None:
    """Have something done before this process leaves without waiting for anything; it must not wait either."""
    _last.append(work)


def leaving() -> None:
    """All is done: a signal needs no exception any more."""
    global _leaving
    _leaving = True


def told() -> int:
    """Say once that the user has ended us; returns the exit code."""
    global _told
    if not _told:
        _told = True
        print("pyro-fix: interrupted", file=sys.stderr, flush=True)
    return INTERRUPTED


def _end(number: int, _: FrameType | None) -> None:
    global _until
    if _leaving:
        os._exit(128 + number)
    now = time.monotonic()
    if _until is not None:  # it is under way: an exception now would only break it off
        _until = min(_until, now + HASTE)
        return
    _until = now + PATIENCE
    # Without the locks of ``threading``, which this thread may hold at the moment.
    _thread.start_new_thread(_watch, (number,))
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def _watch(number: int) -> None:
    while _until is not None and time.monotonic() < _until:
        time.sleep(0.05)
    for work in _last:
        with contextlib.suppress(Exception):
            work()
    for _ in range(5):  # while some end, the kernel's list may lack others
        for pid in children():
            if pid not in spared:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    with contextlib.suppress(Exception):
        words = b"\x1b[?25h\r" if os.isatty(2) else b""  # the picture of the progress hides the cursor
        os.write(2, words + (b"pyro-fix: interrupted\n" if number == signal.SIGINT and not _told else b""))
    os._exit(128 + number)


def children() -> list[int]:
    """The processes that this one has started, or inherited."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir("/proc/self/task"):  # noqa: PTH208 - this is imported before all else, and is light
            with contextlib.suppress(OSError, ValueError), open(f"/proc/self/task/{task}/children") as file:  # noqa: PTH123
                found += map(int, file.read().split())
    return found
