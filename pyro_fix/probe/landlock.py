"""Linux' landlock, by its system calls: which files a process and all that it starts may reach.  Needs no rights.

https://docs.kernel.org/userspace-api/landlock.html; the numbers of the calls are the same on every architecture.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

from . import system

_CREATE, _ADD, _RESTRICT = 444, 445, 446

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_REGULAR = 1 << 5, 1 << 8
MAKE_CHAR, MAKE_BLOCK, REFER, TRUNCATE, IOCTL_DEV = 1 << 6, 1 << 11, 1 << 13, 1 << 14, 1 << 15
#: All rights that a version of the interface knows: from then on each is denied but where a rule gives it.
_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

READ = EXECUTE | READ_FILE | READ_DIR
#: All but device files, which nobody but root could make, and which would lead past every other rule.
WRITE = ((1 << 15) - 1) & ~(MAKE_CHAR | MAKE_BLOCK)
#: Files alone, and none to run: a folder that all programs of the user have in common.
SHARE = WRITE_FILE | READ_FILE | READ_DIR | REMOVE_FILE | MAKE_REGULAR | TRUNCATE
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV

#: From these versions on: no TCP; no abstract UNIX sockets and no signals of processes outside.
NETWORK_SINCE, SCOPES_SINCE = 4, 6


class _Attributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """The version that this kernel speaks; 0 where it has none or has it switched off."""
    try:
        return max(0, int(ctypes.CDLL(None).syscall(_CREATE, None, ctypes.c_size_t(0), 1)))
    except (OSError, AttributeError):
        return 0


class Ruleset:
    """What may be reached; nothing else may, once it is in force."""

    def __init__(self, *, network: bool) -> None:
        """``network``: leave sockets alone."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        spoken = version()
        self._handled = _HANDLED[min(spoken, max(_HANDLED))]
        attributes = _Attributes(
            self._handled,
            0b11 if spoken >= NETWORK_SINCE and not network else 0,
            (0b10 if network else 0b11) if spoken >= SCOPES_SINCE else 0,
        )
        # Older kernels take no more than they know.
        size = 8 if spoken < NETWORK_SINCE else 16 if spoken < SCOPES_SINCE else 24
        self._descriptor = self._call(_CREATE, ctypes.byref(attributes), ctypes.c_size_t(size), 0)

    def allow(self, paths: Iterable[str], rights: int) -> None:
        """Give ``rights`` on files, and on folders with all below them; what is not there is passed over."""
        for path in paths:
            try:
                descriptor = system.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                given = rights & self._handled
                if not _is_folder(descriptor):
                    given &= _ON_FILES
                rule = _Beneath(given, descriptor)
                self._call(_ADD, self._descriptor, 1, ctypes.byref(rule), 0)
            finally:
                system.close(descriptor)

    def enter(self) -> None:
        """From here on this thread, and all that it starts, is held to the rules.  Needs no-new-privileges."""
        self._call(_RESTRICT, self._descriptor, 0)
        system.close(self._descriptor)

    def _call(self, number: int, *arguments: object) -> int:
        result: int = self._libc.syscall(number, *arguments)
        if result < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return result


def _is_folder(descriptor: int) -> bool:
    return (system.fstat(descriptor).st_mode & 0o170000) == 0o040000
