"""What all processes of a run take together: the supervisor looks, and ends a run that takes too much.

Limits of the kernel hold for one process each, and root's forks are not limited at all.  Standard library alone: the
supervisor loads this file by its path.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

#: Seconds between two looks.
_PROCESSES_EVERY, _DISK_EVERY = 0.05, 1.0
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_SHARED = "/dev/shm"
#: Threads are cheaper than processes.
_THREADS = 16


class Watch:
    """Looks at all descendants of a process, and at the folder that they write to."""

    def __init__(self, root: int, limits: dict[str, Any]) -> None:
        """``limits``: ``memory`` and ``disk`` in bytes, ``processes``, and the ``folder``."""
        self._root = root
        self._limits = limits
        self._shared = _used(_SHARED)
        self._next_look = self._next_count = 0.0

    def exceeded(self) -> str:
        """What there is too much of, in words for the user; empty as long as all is well."""
        now = time.monotonic()
        if now < self._next_look:
            return ""
        words = self._processes()
        if not words and now >= self._next_count:
            words = self._disk()
            self._next_count = time.monotonic() + _DISK_EVERY
        self._next_look = time.monotonic() + _PROCESSES_EVERY
        return words

    def _processes(self) -> str:
        pids, threads = descendants(self._root)
        most = self._limits["processes"]
        if len(pids) > most or threads > most * _THREADS:
            return f"started more than {most} processes (--processes)"
        memory = self._limits["memory"]
        shared = max(0, _used(_SHARED) - self._shared)
        # Forked processes share pages until they write to them: what is cheap to ask counts these for each.
        if shared + sum(map(_resident, pids)) > memory and shared + sum(map(_own, pids)) > memory:
            return f"took more than {_size(memory)} of memory (--memory)"
        return ""

    def _disk(self) -> str:
        total = 0
        for folder, _, names in os.walk(self._limits["folder"]):
            for name in names:
                try:
                    total += Path(folder, name).lstat().st_blocks * 512
                except OSError:
                    continue
        most = self._limits["disk"]
        return f"wrote more than {_size(most)} of files" if total > most else ""


def descendants(root: int) -> tuple[list[int], int]:
    """All living descendants of ``root``, and the number of their threads; none where there is no ``/proc``."""
    found: list[int] = []
    threads = 0
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
        except OSError:
            continue
        if pid != root:
            threads += len(tasks)
        for task in tasks:
            try:
                below = [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
            except (OSError, ValueError):
                continue
            found += below
            waiting += below
    return found, threads


def _resident(pid: int) -> int:
    """Resident memory without files and shared memory."""
    try:
        parts = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        return (int(parts[1]) - int(parts[2])) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0


def _own(pid: int) -> int:
    """The process' share of such memory: a page that four have counts a quarter."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return 0
    return _resident(pid)


def _used(path: str) -> int:
    try:
        system = os.statvfs(path)
    except (OSError, AttributeError):
        return 0
    return (system.f_blocks - system.f_bfree) * system.f_frsize


def _size(count: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"
