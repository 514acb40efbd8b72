"""Files in whose place somebody may have put something else: a pipe, a link, a device that never ends."""

from __future__ import annotations

import contextlib
import os
import secrets
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


def link_in(path: Path) -> Path | None:
    """The link by which a path to write at would lead elsewhere, where the user need not know of it; None without one.

    That is the path itself, or a folder above it that lies in the working folder or in a repository: a link can be
    committed, so whoever wrote the repository would choose what is written over.
    """
    whole = Path.cwd() / path
    for part in (whole, *whole.parents):
        if part.is_symlink() and (part == whole or _in_checkout(Path(os.path.realpath(part.parent)))):
            return part
    return None


def _in_checkout(folder: Path) -> bool:
    return folder.is_relative_to(os.path.realpath(Path.cwd())) or any(
        os.path.lexists(above / ".git") for above in (folder, *folder.parents)
    )


def check_writable(path: Path) -> None:
    """Raise :class:`OSError` where :func:`write` would refuse ``path``: for a link, and what is no regular file."""
    link = link_in(path)
    if link is not None:
        raise OSError(f"{'it' if link == Path.cwd() / path else link} is a link, and may lead anywhere")
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError("it is no regular file")


def write(path: Path, data: bytes) -> None:
    """Put a file at ``path``, whole or not at all, and never through a link; raises :class:`OSError`."""
    check_writable(path)
    temporary = path.with_name(f".pyro-fix-{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
