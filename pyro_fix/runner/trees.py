"""Folders that a program could write to: measured and removed however deep, wide or odd it has made them.

Nothing here recurses, follows a link, or holds more than one folder's names.  Standard library alone, and the syntax of
Python 3.8: the supervisor loads this file by its path.  As a script it removes the folders that it is given.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from typing import Any, NamedTuple

#: Folders within each other that are looked into; each costs two descriptors while a look lasts.
MOST_DEEP = 100
#: Seconds after which a removal is given up unless more are given: somebody may make new files as fast as they go.
_PATIENCE = 600.0
_FOLDER = (
    os.O_RDONLY
    | getattr(os, "O_DIRECTORY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_CAN = {os.open, os.unlink, os.rmdir, os.rename} <= os.supports_dir_fd and os.scandir in os.supports_fd


class Size(NamedTuple):
    """What a folder holds."""

    used: int
    """Bytes of its files, as the disk counts them."""
    names: int
    deep: int
    """Folders within each other."""


def measure(path: str, most_names: int) -> Size:
    """The size of a folder; beyond ``most_names`` names, or ``MOST_DEEP`` folders, as far as was counted."""
    used = names = deep = 0
    if not _CAN:
        for folder, folders, files in os.walk(path):
            names += len(folders) + len(files)
            for name in files:
                with contextlib.suppress(OSError):
                    used += os.lstat(os.path.join(folder, name)).st_size
        return Size(used, names, 0)
    stack: list[tuple[int, Any]] = []
    try:
        _push(stack, path, None)
        while stack and names <= most_names and deep <= MOST_DEEP:
            deep = max(deep, len(stack))
            descriptor, entries = stack[-1]
            entry = next(entries, None)
            if entry is None:
                _pop(stack)
                continue
            names += 1
            with contextlib.suppress(OSError):
                used += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    _push(stack, entry.name, descriptor)
    except OSError:
        pass
    finally:
        while stack:
            _pop(stack)
    return Size(used, names, deep)


def _push(stack: list[tuple[int, Any]], name: str, within: int | None) -> None:
    descriptor = _enter(name, within)
    try:
        stack.append((descriptor, os.scandir(descriptor)))
    except BaseException:
        os.close(descriptor)
        raise


def _pop(stack: list[tuple[int, Any]]) -> None:
    descriptor, entries = stack.pop()
    entries.close()
    os.close(descriptor)


def remove(path: str, seconds: float = _PATIENCE) -> bool:
    """Remove a folder and all that is in it; whether it is gone.  Nothing outside is touched, and nothing is raised."""
    if not _CAN:
        shutil.rmtree(path, ignore_errors=True)
        return not os.path.lexists(path)
    until = time.monotonic() + seconds
    with contextlib.suppress(OSError):
        descriptor = _enter(path, None)
        try:
            # Folders in folders are moved up to the top before they are emptied: so there is never a way to go down.
            token = os.urandom(8).hex()
            number = 0
            again = True
            while again and time.monotonic() < until:
                again, number = _empty(descriptor, descriptor, token, number, until)
        finally:
            os.close(descriptor)
        os.rmdir(path)
    return not os.path.lexists(path)


def _empty(folder: int, top: int, token: str, number: int, until: float) -> tuple[bool, int]:
    """Go once through a folder; whether anything in it went, and how many were moved so far."""
    went = False
    with os.scandir(folder) as entries:
        for entry in entries:
            if time.monotonic() > until:
                break
            with contextlib.suppress(OSError):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.name, dir_fd=folder)
                elif not _is_empty(entry.name, folder):
                    if folder == top:
                        number = _unpack(entry.name, top, token, number, until)
                    else:
                        number += 1
                        os.rename(entry.name, f"{token}-{number}", src_dir_fd=folder, dst_dir_fd=top)
                went = True
    return went, number


def _is_empty(name: str, within: int) -> bool:
    """Remove a folder that is empty; whether it was.  Others may be emptied, and moved, from then on."""
    try:
        os.rmdir(name, dir_fd=within)
    except OSError:
        os.close(_enter(name, within))
        return False
    return True


def _unpack(name: str, top: int, token: str, number: int, until: float) -> int:
    inner = _enter(name, top)
    try:
        went = True
        while went and time.monotonic() < until:
            went, number = _empty(inner, top, token, number, until)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)
    return number


def _enter(name: str, within: int | None) -> int:
    """A folder's descriptor, whatever mode its maker has given it."""
    try:
        descriptor = os.open(name, _FOLDER, dir_fd=within)
    except PermissionError:
        if not hasattr(os, "O_PATH"):
            raise
        place = os.open(name, (_FOLDER & ~os.O_NONBLOCK) | os.O_PATH, dir_fd=within)
        try:
            os.chmod(f"/proc/self/fd/{place}", 0o700)
        finally:
            os.close(place)
        descriptor = os.open(name, _FOLDER, dir_fd=within)
    status = os.fstat(descriptor)
    if status.st_mode & 0o700 != 0o700:
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o700)
    return descriptor


if __name__ == "__main__":
    waiting = sys.argv[1:]
    for _ in range(100):
        waiting = [folder for folder in waiting if not remove(folder)]
        if not waiting:
            break
        time.sleep(0.1)  # somebody is still about to end
