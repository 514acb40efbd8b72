"""Write changes: all files or none, and never half a file.

Every new text is first written in full, and flushed to the disk, beside the file that it will replace; then all are
renamed over their files, which is atomic for each.  So a kill at any moment leaves every file either old or new.  What
such a kill leaves lying about is a hidden ``.pyro-fix-PID-N.tmp``, which the next write in that folder removes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pyro_fix import regular
from pyro_fix.result import Change

_TEMPORARY = re.compile(r"\.pyro-fix-(\d+)-\d+\.tmp")
#: Attributes that the system sets by itself, and nobody else may.
_THE_SYSTEMS = ("security.", "trusted.")
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class ApplyError(Exception):
    """The changes could not be written; the message is one line and says what state the files are in."""


@dataclass(frozen=True)
class _Write:
    """One file to be replaced."""

    shown: Path
    """The path that the user knows; it may be a link to ``target``."""
    target: Path
    old: bytes
    """What must still be in ``target``."""
    new: bytes
    temporary: Path

    def error(self, reason: str) -> ApplyError:
        return ApplyError(f"{self.shown}: {reason}; no file was changed")


def write(changes: Sequence[Change]) -> None:
    """Write ``changes`` to their files, or none of them.

    Links are followed and kept; so are mode, owner, group and extended attributes (access lists are some): a file
    whose new version could not have them is not replaced.  SIGINT, SIGTERM and SIGHUP wait: one
    that comes before the first rename is answered with nothing written, a later one with everything written.  Raises
    :class:`ApplyError` when a file is not what it was when it was read, or cannot be written.
    """
    writes = _plan(changes)
    for folder in {item.target.parent for item in writes}:
        _remove_left_overs(folder)
    with _held_signals() as pending:
        try:
            for item in writes:
                _stage(item)
            if pending:
                raise ApplyError("interrupted; no file was changed")
            _commit(writes)
        finally:
            _discard(writes)


def _plan(changes: Sequence[Change]) -> list[_Write]:
    writes: dict[Path, _Write] = {}
    for change in changes:
        path, source = change.source.path, change.source
        try:
            target = path.resolve(strict=True)
            if change.target is not None and target != change.target:
                raise ApplyError(f"{path}: leads elsewhere than when it was read; no file was changed")
            new = source.encode(change.text)
        except OSError:
            raise ApplyError(f"{path}: is gone since it was read; no file was changed") from None
        except UnicodeEncodeError:
            raise ApplyError(
                f"{path}: its encoding ({source.encoding}) cannot hold the new text; no file was changed"
            ) from None
        temporary = target.with_name(f".pyro-fix-{os.getpid()}-{len(writes)}.tmp")
        item = writes.setdefault(target, _Write(path, target, source.data, new, temporary))
        if (item.old, item.new) != (source.data, new):
            raise ApplyError(f"{path}: is the same file as {item.shown}, but changes differently; no file was changed")
    return [item for item in writes.values() if item.new != item.old]


def _stage(item: _Write) -> None:
    """Put the new bytes beside the file."""
    try:
        _check_unchanged(item)
        if not os.access(item.target, os.W_OK):  # A rename would not ask.
            raise item.error("is read-only")
        _create(item.temporary, item.new, item.target)
    except OSError as error:
        raise item.error(f"cannot be written: {error.strerror or error}") from error


def _check_unchanged(item: _Write) -> None:
    # Something else may lie there by now, that never ends or never answers.
    if regular.read(item.target, len(item.old) + 1) != item.old:
        raise item.error("was changed on disk meanwhile")


def _create(path: Path, data: bytes, like: Path) -> None:
    """Write a new file that is another one but for its content."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        status = like.stat()
        if hasattr(os, "fchown"):
            _give(file.fileno(), status)
        if hasattr(os, "listxattr"):
            _mark(file.fileno(), like)
        path.chmod(stat.S_IMODE(status.st_mode))  # After the owner: changing that clears bits of the mode.
        os.fsync(file.fileno())


def _give(descriptor: int, status: os.stat_result) -> None:
    """Make owner and group those that ``status`` tells; only root may give files away."""
    mine = os.fstat(descriptor)
    if (mine.st_uid, mine.st_gid) == (status.st_uid, status.st_gid):
        return
    try:
        os.fchown(descriptor, status.st_uid, status.st_gid)
    except OSError as error:
        whose = "user" if mine.st_uid != status.st_uid else "group"
        raise PermissionError(errno.EPERM, f"it belongs to another {whose}, and its new version would not") from error


def _mark(descriptor: int, like: Path) -> None:
    """Make extended attributes those of ``like``: not more either, as a folder's default access list would give."""
    wanted = {name: os.getxattr(like, name) for name in _attributes(like)}
    for name in set(_attributes(descriptor)) - wanted.keys():
        with contextlib.suppress(OSError):
            os.removexattr(descriptor, name)
    for name, value in wanted.items():
        try:
            os.setxattr(descriptor, name, value)
        except OSError as error:
            if name.startswith(_THE_SYSTEMS):
                continue
            raise PermissionError(errno.EPERM, f"its attribute {name} cannot be kept") from error


def _attributes(file: Path | int) -> list[str]:
    try:
        return os.listxattr(file)
    except OSError:  # the file system has none
        return []


def _commit(writes: Sequence[_Write]) -> None:
    """Rename all; when one fails, put back those that were renamed."""
    done: list[_Write] = []
    try:
        for item in writes:
            _check_unchanged(item)
            item.temporary.replace(item.target)
            done.append(item)
    except (OSError, ApplyError) as error:
        _discard(writes)  # Gives back the space that undoing may need.
        lost = [str(item.shown) for item in done if not _restored(item)]
        if lost:
            raise ApplyError(f"{item.shown}: {error}; already changed and not undone: {', '.join(lost)}") from error
        if isinstance(error, ApplyError):
            raise
        raise item.error(f"cannot be written: {error.strerror or error}") from error
    for folder in {item.target.parent for item in writes}:
        _flush(folder)


def _restored(item: _Write) -> bool:
    """Put the old bytes back, by a rename as well; False when that fails too."""
    try:
        _create(item.temporary, item.old, item.target)
        item.temporary.replace(item.target)
    except OSError:
        return False
    return True


def _discard(writes: Sequence[_Write]) -> None:
    for item in writes:
        with contextlib.suppress(OSError):
            item.temporary.unlink()


def _flush(folder: Path) -> None:
    """Make renames outlive a loss of power, where the system lets a folder be opened."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_left_overs(folder: Path) -> None:
    for path in folder.glob(".pyro-fix-*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not _running(int(match[1])):
            with contextlib.suppress(OSError):
                path.unlink()


def _running(pid: int) -> bool:
    """Whether another process has this id."""
    if os.name != "posix":
        return pid != os.getpid()  # There, os.kill(pid, 0) would end the process instead of asking for it.
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return pid != os.getpid()


@contextlib.contextmanager
def _held_signals() -> Iterator[list[int]]:
    """Collect signals that ask to stop; deliver the first of them at the end."""
    pending: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pending  # Only the main thread gets signals, and only it may set handlers.
        return

    def remember(number: int, _: FrameType | None) -> None:
        pending.append(number)

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    held = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in held:
        signal.signal(number, remember)
    try:
        yield pending
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        if pending:
            signal.raise_signal(pending[0])
