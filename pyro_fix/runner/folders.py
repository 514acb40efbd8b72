"""Temporary folders of ours: made, removed, and found again when whoever made them was killed.

A folder's name says whose it is, by process and the moment that this one began: so it can be told who has left one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from pyro_fix import interruption
from pyro_fix.runner import trees

_NAME = re.compile(r"pyro-fix-(?:[a-z]+-)?(\d+)-(\d+)-[^/]+")
#: Seconds after which a folder that nobody owns is removed: its owner may live where we cannot see it.
_STALE = 86_400.0
#: Seconds that a removal may take before it is left to a process of its own.
_PATIENCE = 10.0
_mine: set[str] = set()
_swept: set[tuple[int, str]] = set()
_lock = threading.Lock()


def owner() -> str:
    """This process, as part of a name."""
    return f"{os.getpid()}-{_began(os.getpid())}"


def left(name: str) -> bool:
    """Whether a name is of ours, and its owner has gone."""
    found = _NAME.fullmatch(name)
    return found is not None and _began(int(found[1])) != int(found[2])


def base() -> str:
    """Where temporary folders go; raises :class:`OSError` where the one that is asked for has no space left.

    ``tempfile`` takes another one then, in the end the working folder, which is the user's.
    """
    asked = os.environ.get("TMPDIR")
    if tempfile.tempdir is None and asked and Path(asked).is_dir() and is_full(Path(asked)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), asked)
    return tempfile.gettempdir()


def make(kind: str = "") -> Path:
    """A new folder for this process; removes what others have left first.  Raises :class:`OSError`."""
    folder = base()
    with _lock:
        first = (os.getpid(), folder) not in _swept
        _swept.add((os.getpid(), folder))
    if first:
        sweep(Path(folder))
    path = Path(tempfile.mkdtemp(prefix=f"pyro-fix-{kind}{owner()}-", dir=folder)).resolve()
    with _lock:
        _mine.add(str(path))
    return path


def remove(path: Path) -> None:
    """Remove a folder that :func:`make` has made, whatever a program has put into it."""
    if not trees.remove(str(path), _PATIENCE):
        hand_over([str(path)])
    with _lock:
        _mine.discard(str(path))


def leave() -> None:
    """Have all folders removed that are still there, by a process that outlives this one."""
    hand_over([path for path in list(_mine) if f"-{os.getpid()}-" in path])


def sweep(base: Path, now: float | None = None) -> None:
    """Remove folders of ours that are older than a day and whose owner has gone."""
    if not hasattr(os, "getuid"):
        return
    stale = []
    with contextlib.suppress(OSError), os.scandir(base) as entries:
        for entry in entries:
            if entry.name.startswith("pyro-fix-") and left(entry.name):
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    old = (time.time() if now is None else now) - status.st_mtime > _STALE
                    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and old:
                        stale.append(entry.path)
    if stale:
        hand_over(stale)


def is_full(path: Path) -> bool:
    """Whether there is no space left where a folder lies."""
    try:
        system = os.statvfs(path)
    except (OSError, AttributeError):
        return False
    # Not a page is left for us, or not a name.
    return system.f_bavail * system.f_frsize < 1 << 16 or bool(system.f_files and not system.f_favail)


def no_space(path: Path | str | None = None) -> str:
    """The words for it."""
    path = path or tempfile.tempdir or os.environ.get("TMPDIR") or tempfile.gettempdir()
    return f"no space left in {path}"


def says_full(error: OSError) -> bool:
    """Whether an exception says that a disk is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def hand_over(paths: list[str]) -> None:
    """Have folders removed by a process that outlives this one."""
    if not paths:
        return
    with contextlib.suppress(OSError):
        remover = subprocess.Popen(
            [sys.executable, "-I", "-S", str(trees.__file__), *paths],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        interruption.spared.add(remover.pid)


def _began(pid: int) -> int:
    """When a process began, in ticks of the machine; 0 where nothing is known of it."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        if sys.platform.startswith("linux") or os.name != "posix":
            return 0
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return 0
    except PermissionError:
        pass
    return 1
