"""Fork one process per seed at the program's first step: they share all that the program did to get there."""

from __future__ import annotations

import contextlib
import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from . import devices

#: How many replicas compute at a time.
AT_ONCE = 2


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent goes (Linux)."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def why_not_fork() -> str:
    """Why a fork of this process now would not be safe; empty when it is."""
    if not hasattr(os, "fork"):
        return "this system has no fork"
    if threading.active_count() > 1:
        return "the program has started threads"
    if multiprocessing.active_children():
        return "the program has started worker processes"
    device = devices.in_use()
    return f"{device.upper()} is in use" if device else ""


def forked(work: Callable[[], None], seconds: float) -> str:
    """Do ``work`` in a forked copy of this process; returns what went wrong, empty when nothing did."""
    _flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            die_with_parent()
            work()
            status = 0
        finally:
            _flush()
            os._exit(status)
    end = time.monotonic() + seconds
    pause = 0.001
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return _died(status)
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return f"took longer than {seconds:.0f} s"
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


class Replicas:
    """The seeds of a run, and the processes that run them."""

    def __init__(self, seeds: list[int], deadline: float, lost: Callable[[int, str], None]) -> None:
        """``deadline``: when all have to be done, by ``time.time()``; ``lost(seed, why)`` hears of a killed one."""
        self.seed = seeds[0]
        self.deadline = deadline
        self.first = True
        """Whether this is the process that forks, and not a fork."""
        self._seeds = seeds
        self._lost = lost
        self._running: dict[int, tuple[int, float]] = {}

    def split(self) -> None:
        """Return once per seed, each time in a process of its own; this process is the last and has the first seed.

        No more than ``AT_ONCE`` compute at a time, and each gets its share of the time that is left.
        """
        for number, seed in enumerate(self._seeds[1:], 1):
            self._wait(AT_ONCE - 1)
            rounds = math.ceil((len(self._seeds) - number + 1) / AT_ONCE)
            share = time.time() + max(0.0, self.deadline - time.time()) / rounds
            _flush()
            pid = os.fork()
            if pid == 0:
                die_with_parent()
                self.seed, self.deadline, self.first = seed, share, False
                self._running = {}
                return
            self._running[pid] = seed, share
        self._wait(AT_ONCE - 1)

    def wait(self) -> None:
        """Wait for the forks to end."""
        self._wait(0)

    def _wait(self, most: int) -> None:
        pause = 0.001
        while len(self._running) > most:
            for pid, (seed, deadline) in list(self._running.items()):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    del self._running[pid]
                    if _died(status):
                        self._lost(seed, _died(status))
                elif time.time() > deadline + 5:  # it looks at the clock itself, unless one step hangs
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    del self._running[pid]
                    self._lost(seed, "a step did not come to an end in its time")
            time.sleep(pause)
            pause = min(2 * pause, 0.02)


def _died(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"killed by signal {os.WTERMSIG(status)}"
    return f"ended with status {os.WEXITSTATUS(status)}" if os.WEXITSTATUS(status) else ""


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # it may be a stream of the user's own making
            stream.flush()


def leave(status: int = 0) -> Any:
    """End this process at once: none of the user's clean-up may take away what another replica still needs."""
    _flush()
    os._exit(status)
