"""Files in whose place somebody may have put something else: a pipe, a link, a device that never ends."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def opened(path: Path | str, *, follow: bool = False) -> int:
    """A descriptor of the regular file at ``path``; raises :class:`OSError` where there is none.

    ``follow``: it may be a link to one.
    """
    descriptor = os.open(path, _FLAGS if follow else _FLAGS | getattr(os, "O_NOFOLLOW", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no regular file")
    return descriptor


def read(path: Path | str, most: int, start: int = 0) -> bytes:
    """Up to ``most`` bytes of a regular file; raises :class:`OSError`."""
    with os.fdopen(opened(path), "rb") as file:
        file.seek(start)
        return file.read(most)
