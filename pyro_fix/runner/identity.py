"""Hashes that say whether a run elsewhere, or at another time, would be the same run: of files, of an interpreter with
what is installed for it, and of our own code that makes and reads runs."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from functools import cache, lru_cache
from pathlib import Path

from pyro_fix import regular

#: Bytes of a file that are read for its hash; of a longer one size and time have to do.
_MOST_HASHED = 4 << 30


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes; empty for what is no file that can be read, which is a state like any other."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would wait for ever, and a device never end
            return ""
        if status.st_size > _MOST_HASHED:
            return f"{status.st_size} bytes of {status.st_mtime_ns}"
        return _file_hash(path, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    except (OSError, ValueError):  # a name with a zero in it
        return ""


def file_clock() -> int:
    """Now, in nanoseconds, by the clock that stamps files."""
    coarse = getattr(time, "CLOCK_REALTIME_COARSE", None)  # Linux'; the fine one is up to a tick ahead of files
    return time.time_ns() if coarse is None else time.clock_gettime_ns(coarse)


def changed_since(path: Path, moment: int) -> bool:
    """Whether a file was written, or put in its place, after a moment of :func:`file_clock`."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return False
    return max(status.st_mtime_ns, status.st_ctime_ns) > moment


@lru_cache(maxsize=4096)
def _file_hash(path: Path, *state: int) -> str:
    """Hash a file once as long as its state is the same: data files are large, and every entry depends on them."""
    with os.fdopen(regular.opened(path, follow=True), "rb") as file:
        result = hashlib.sha256()
        while block := file.read(1 << 20):
            result.update(block)
    return result.hexdigest()


def digest(value: object) -> str:
    """SHA-256 of a JSON-ready value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8")).hexdigest()


@cache
def engine_hash() -> str:
    """Hash of the code whose answers are stored: the probe, the runner, and what they tell."""
    root = Path(__file__).resolve().parent.parent
    files = [root / "observation.py", *sorted(p for part in ("probe", "runner") for p in (root / part).rglob("*.py"))]
    return digest([(path.relative_to(root).as_posix(), file_hash(path)) for path in files])


@cache
def interpreter_hash(python: Path) -> str:
    """Hash of an interpreter and of the versions installed for it, found without starting it."""
    prefix = python.parent.parent  # of the path as given: a virtual environment's python is a link out of it
    config = prefix / "pyvenv.cfg"
    if not config.exists():
        prefix = python.resolve().parent.parent
    folders = [*prefix.glob("lib/python*/site-packages"), *prefix.glob("Lib/site-packages")]
    installed = sorted(entry.name for folder in folders for entry in folder.glob("*.dist-info"))
    path = os.environ.get("PYTHONPATH", "")
    return digest([str(python), str(python.resolve()), file_hash(config), installed, path])
