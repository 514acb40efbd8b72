"""Control groups of Linux (version 2): a run in one of its own ends at a word, however fast it forks.

Whether this machine has them, and lets us make one, is only known by trying; without them the supervisor kills one
process after the other.  Standard library alone, and the syntax of Python 3.8: the supervisor loads this file by its
path.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

PREFIX = "pyro-fix-"
#: Over the limit that the supervisor watches, so that it is the one who tells.
_SLACK = 64 << 20
_THREADS = 16


def make(name: str) -> str | None:
    """A new group, by its path; None where there can be none."""
    for above in _places():
        path = os.path.join(above, name)
        try:
            os.mkdir(path)
        except OSError:
            continue
        if os.access(os.path.join(path, "cgroup.kill"), os.W_OK):
            return path
        remove(path)
    return None


def limit(path: str, memory: int, processes: int) -> None:
    """Have the kernel hold all of the group together to these, where it counts them."""
    for file, value in (
        ("memory.max", memory + _SLACK),
        ("memory.oom.group", 1),
        ("pids.max", processes * _THREADS + _THREADS),
    ):
        _write(os.path.join(path, file), str(value))


def enter(path: str, pid: int = 0) -> bool:
    """Put a process (this one) into the group, and with it all that it will start; whether that was possible."""
    return _write(os.path.join(path, "cgroup.procs"), str(pid))


def kill(path: str) -> None:
    """End all processes of the group, those that are being forked at this moment with them."""
    _write(os.path.join(path, "cgroup.kill"), "1")


def ran_out(path: str) -> bool:
    """Whether the kernel has ended it for its memory."""
    try:
        with open(os.path.join(path, "memory.events"), encoding="ascii") as file:
            return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in file)
    except (OSError, ValueError):
        return False


def remove(path: str, tries: int = 50) -> bool:
    """Remove a group, which is possible once its last process has gone; whether it is gone."""
    for _ in range(tries):
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return True
        except OSError:
            time.sleep(0.01)
            continue
        return True
    return False


def sweep(is_left: Callable[[str], bool]) -> None:
    """End and remove the groups, by their names, that nobody owns any more."""
    for above in _places():
        with contextlib.suppress(OSError):
            for name in os.listdir(above):
                if name.startswith(PREFIX) and is_left(name):
                    kill(os.path.join(above, name))
                    remove(os.path.join(above, name))


def _places() -> Iterator[str]:
    """Where a group of ours may be made: beside us where memory is counted there, or below us."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            own = next(line.rstrip("\n").split(":", 2)[2] for line in file if line.startswith("0::"))
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line.split() for line in file]
        mount = next(parts for parts in mounts if parts[parts.index("-") + 1] == "cgroup2")
    except (OSError, ValueError, StopIteration, IndexError):
        return
    # What is mounted may be a part of the whole hierarchy.
    root = mount[3].rstrip("/")
    if "/../" in f"{own}/" or not f"{own}/".startswith(f"{root}/"):
        return
    here = os.path.normpath(mount[4] + own[len(root) :])
    if here != os.path.normpath(mount[4]):
        above = os.path.dirname(here)
        with contextlib.suppress(OSError):
            with open(os.path.join(above, "cgroup.subtree_control"), encoding="ascii") as file:
                counted = file.read().split()
            if "memory" in counted:
                yield above
    yield here


def _write(path: str, text: str) -> bool:
    try:
        # Without O_CREAT: what the kernel does not offer must not come to be as a file.
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True
