"""What all processes of a run take together: the supervisor looks, and ends a run that takes too much.

Limits of the kernel hold for one process each, and root's forks are not limited at all.  Standard library alone: the
supervisor loads this file by its path.

Cheap numbers come first: only where they could mean too much is it counted what is the run's own.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

#: Seconds between two looks; a look that took long is followed by so many times its own length.
_PROCESSES_EVERY, _DISK_EVERY, _REST = 0.05, 1.0, 4.0
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_SHARED = "/dev/shm"
#: Threads are cheaper than processes.
_THREADS = 16
#: Files and folders of a run.
MOST_NAMES = 500_000
#: What has to be left of a machine's memory, as a share of it: some can be taken so that it is nobody's.
_LAST = 0.02


class Watch:
    """Looks at all descendants of a process, and at the folders that they write to."""

    def __init__(self, root: int, limits: dict[str, Any], trees: Any) -> None:
        """``limits``: ``memory`` and ``disk`` in bytes, ``processes``, and the ``folders``; ``trees``: that module."""
        self._root = root
        self._limits = limits
        self._trees = trees
        self._shared = _used(_SHARED)
        self._system = _memory().get("Shmem", 0)
        self._disks = {folder: _used(folder) for folder in limits["folders"]}
        self._in_memory = [folder for folder in limits["folders"] if _is_memory(folder)]
        self._written = 0
        self._tables = _memory().get("PageTables", 0)
        self._next_look = self._next_count = 0.0

    def exceeded(self) -> str:
        """What there is too much of, in words for the user; empty as long as all is well."""
        began = time.monotonic()
        if began < self._next_look:
            return ""
        words = self._processes()
        looked = time.monotonic()
        if not words and looked >= self._next_count:
            words = self._disk()
            now = time.monotonic()
            self._next_count = now + max(_DISK_EVERY, _REST * (now - looked))
        now = time.monotonic()
        self._next_look = now + max(_PROCESSES_EVERY, _REST * (now - began))
        return words

    def _processes(self) -> str:
        pids, threads = descendants(self._root)
        most = self._limits["processes"]
        if len(pids) > most or threads > most * _THREADS:
            return f"started more than {most} processes (--processes)"
        memory = self._limits["memory"]
        told = _memory()
        shared = max(0, _used(_SHARED) - self._shared)
        if self._in_memory:
            shared += self._written
        # At most this much of memory that has no one owner is the run's: the machine has no more of it than before.
        grown = max(shared, told.get("Shmem", 0) - self._system)
        # Forked processes share pages until they write to them: what is cheap to ask counts these for each.
        tables = max(0, told.get("PageTables", 0) - self._tables)  # what maps nothing but much takes these alone
        if grown + tables + sum(map(_resident, pids)) > memory:
            shared += min(grown - shared, _nameless(pids)) + (sum(map(_tables, pids)) if tables else 0)
            if shared + sum(map(_resident, pids)) > memory and shared + sum(map(_own, pids)) > memory:
                return f"took more than {_size(memory)} of memory (--memory)"
        if "MemAvailable" in told and told["MemAvailable"] < _LAST * told["MemTotal"]:
            return "was running when this machine had no memory left"
        return ""

    def _disk(self) -> str:
        most = self._limits["disk"]
        total = names = 0
        for folder in self._limits["folders"]:
            size = self._trees.measure(folder, MOST_NAMES)
            if size.deep > self._trees.MOST_DEEP:
                return f"put more than {self._trees.MOST_DEEP} folders within each other"
            total += size.used
            names += size.names
            if folder in self._in_memory:
                self._written = size.used
        if names > MOST_NAMES:
            return f"made more than {MOST_NAMES} files"
        # Files that were removed while they were open have no name to find them by.
        if (
            total <= most
            and total + sum(max(0, _used(folder) - before) for folder, before in self._disks.items()) > most
        ):
            devices = {device for device in map(_device, self._disks) if device is not None}
            total += sum(
                _open_files(descendants(self._root)[0], lambda s: not s.st_nlink and s.st_dev in devices).values()
            )
        return f"wrote more than {_size(most)} of files" if total > most else ""

    def _removed(self) -> int:
        devices = {device for device in map(_device, self._disks) if device is not None}
        pids, _ = descendants(self._root)
        try:
            found = _open_files(pids, lambda status: not status.st_nlink and status.st_dev in devices)
        except PermissionError:
            return 0
        return sum(found.values())


def descendants(root: int) -> tuple[list[int], int]:
    """All living descendants of ``root``, and the number of their threads; none where there is no ``/proc``."""
    found: list[int] = []
    threads = 0
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        try:
            tasks = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        if pid != root:
            threads += len(tasks)
        for task in tasks:
            below = [int(child) for child in _read(f"/proc/{pid}/task/{task}/children").split()]
            found += below
            waiting += below
    return found, threads


def _nameless(pids: list[int]) -> int:
    """Bytes of memory that processes share, or have as files, without a place in the file system (``memfd_create``)."""
    device = _shared_memory()
    if device is None:
        return 0
    try:
        found = _open_files(pids, lambda status: status.st_dev == device)
        for pid in pids:
            for inode, size in _mapped(pid, device):
                if (device, inode) not in found or found[device, inode] < 0:
                    # Closed since: how much of it there is nobody tells, but it is no more than this.
                    found[device, inode] = min(found.get((device, inode), 0), -size)
    except PermissionError:
        return 1 << 62  # a process that has hidden itself: nothing speaks for it
    return sum(map(abs, found.values()))


def _open_files(pids: list[int], counts: Callable[[os.stat_result], bool]) -> dict[tuple[int, int], int]:
    """Bytes of the regular files that processes have open, each once."""
    found = {}
    for pid in pids:
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except PermissionError:
            if _resident(pid):
                raise
            continue
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                status = os.stat(f"/proc/{pid}/fd/{descriptor}")
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and counts(status):
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return found


def _mapped(pid: int, device: int) -> Iterator[tuple[int, int]]:
    """Inodes of a device that a process shares with others by mapping them, with the bytes up to the map's end."""
    for line in _read(f"/proc/{pid}/maps", strict=True).splitlines():
        place, rights, offset, number, inode = line.split(None, 5)[:5]
        major, minor = number.split(":")
        if "s" in rights and os.makedev(int(major, 16), int(minor, 16)) == device:
            begin, end = place.split("-")
            yield int(inode), int(offset, 16) + int(end, 16) - int(begin, 16)


def _shared_memory() -> int | None:
    """The device that such memory lies on."""
    try:
        descriptor = os.memfd_create("pyro-fix")
    except (OSError, AttributeError):
        return None
    try:
        return os.fstat(descriptor).st_dev
    finally:
        os.close(descriptor)


def _read(path: str, strict: bool = False) -> str:
    """A file of ``/proc``; empty where the process has gone."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except PermissionError:
        if strict:
            raise
        return ""
    except OSError:
        return ""


def _memory() -> dict[str, int]:
    """What the machine says of its memory, in bytes."""
    found = {}
    for line in _read("/proc/meminfo").splitlines():
        parts = line.split()
        if parts[-1] == "kB":
            found[parts[0].rstrip(":")] = int(parts[1]) * 1024
    return found


def _resident(pid: int) -> int:
    """Resident memory without files and shared memory."""
    try:
        parts = _read(f"/proc/{pid}/statm").split()
        return (int(parts[1]) - int(parts[2])) * _PAGE
    except (ValueError, IndexError):
        return 0


def _tables(pid: int) -> int:
    """What the kernel needs to know of a process' memory."""
    try:
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith("VmPTE:"):
                return int(line.split()[1]) * 1024
    except (ValueError, IndexError):
        pass
    return 0


def _own(pid: int) -> int:
    """The process' share of such memory: a page that four have counts a quarter."""
    try:
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) * 1024
    except (ValueError, IndexError):
        return 0
    return _resident(pid)


def _used(path: str) -> int:
    try:
        system = os.statvfs(path)
    except (OSError, AttributeError):
        return 0
    return (system.f_blocks - system.f_bfree) * system.f_frsize


def _device(path: str) -> int | None:
    try:
        return os.stat(path).st_dev
    except OSError:
        return None


def _is_memory(path: str) -> bool:
    """Whether the files of a folder lie in memory."""
    device = _device(path)
    if device is None:
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}" if hasattr(os, "major") else ""
    for line in _read("/proc/self/mountinfo").splitlines():
        parts = line.split()
        if parts[2] == wanted and "-" in parts:
            return parts[parts.index("-") + 1] in ("tmpfs", "ramfs")
    return False


def _size(count: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count} bytes"
