"""What ends a run whose supervisor cannot: control groups, or else the orphans that come to this process."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import itertools
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from pyro_fix import interruption
from pyro_fix.runner import folders, groups

_PATIENCE = 10.0
_numbers = itertools.count()
_made: set[tuple[int, str]] = set()
#: Those of them that were to go, and were not empty yet.
_late: set[tuple[int, str]] = set()


def group() -> str | None:
    """A new control group of this process, where that is to be had; ends those that others have left."""
    if not sys.platform.startswith("linux"):
        return None
    for late in list(_late):
        if groups.remove(late[1], 1):
            _late.discard(late)
            _made.discard(late)
    number = next(_numbers)
    if not number:
        groups.sweep(folders.left)
    made = groups.make(f"{groups.PREFIX}{folders.owner()}-{number}")
    if made is None:
        # Then orphans of a supervisor that has died come to us.
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    else:
        _made.add((os.getpid(), made))
    return made


def end(made: str | None) -> None:
    """Kill what is in a group, and remove it."""
    if made:
        groups.kill(made)
        _remove(made, 50)


def drop(made: str | None) -> None:
    """Remove a group if it is empty by now; else it is removed at the end."""
    if made:
        _remove(made, 5)


def _remove(made: str, tries: int) -> None:
    gone = groups.remove(made, tries)
    (_made.discard if gone else _late.add)((os.getpid(), made))


def leave(*, at_once: bool = False) -> None:
    """Remove all groups, once they are empty; or kill what is in them, and have that done by one that outlives us."""
    mine = [path for pid, path in list(_made) if pid == os.getpid()]
    if at_once:
        for path in mine:
            groups.kill(path)
        folders.hand_over(mine)
    else:
        for path in mine:
            groups.remove(path)


def end_orphans() -> None:
    """Kill what a supervisor that was killed itself has left behind."""
    until = time.monotonic() + _PATIENCE
    quiet = 0
    while quiet < 5 and time.monotonic() < until:  # while some end, the kernel's list may lack others
        found = [pid for pid in interruption.children() if pid not in interruption.spared and _is_locked_in(pid)]
        quiet = 0 if found else quiet + 1
        time.sleep(0 if found else 0.01)
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)


def _is_locked_in(pid: int) -> bool:
    """Whether a process is held by more filters than this one is, which it cannot get rid of."""
    return _filters(str(pid)) > _filters("self")


def _filters(pid: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Seccomp_filters:"):
                return int(line.split()[1])
    return 0


interruption.at_last(partial(leave, at_once=True))
atexit.register(leave)
