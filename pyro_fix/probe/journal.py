"""The child's record: one JSON object a line, so that a kill loses nothing.

Events are appended to the journal by a single write each.  Steps are too many for that where they are short: their
lines lie in a piece of memory that is a file beside the journal, and go into the journal together, ten times a second.
What is in such a file when its process is killed is there all the same, and ``runner/read.py`` reads it.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import time
from typing import Any

# Kept before anything of the user's (or of ours) replaces them.
_open, _write, _close, _fstat, _ftruncate, _getpid = os.open, os.write, os.close, os.fstat, os.ftruncate, os.getpid
_map, _now = mmap.mmap, time.monotonic
_CLOEXEC = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | _CLOEXEC
# ``json.dumps`` would make one anew at every call.
_encode = json.JSONEncoder(default=str).encode
#: Bytes of the memory, of which the first eight say how many of the others are in use.
TAIL, _HEAD = 1 << 16, 8
#: Seconds after which steps go into the journal.
_PAUSE = 0.1


class Journal:
    """An append-only file that forked processes share."""

    def __init__(self, path: str) -> None:
        """Write to ``path``, which is created by the first event."""
        self.path = path
        self._tail: mmap.mmap | None = None
        self._used = _HEAD
        self._written = 0.0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def write(self, event: str, **fields: Any) -> None:
        """Append one event; a full disk is no reason to break the user's program."""
        self.flush()
        self._append((_encode({"event": event, **fields}) + "\n").encode("ascii"))

    def step(
        self,
        seed: int,
        svi: int,
        step: int,
        loss: float,
        rates: list[float],
        norm: float | None,
        cpu: float,
        nonfinite: str,
    ) -> None:
        """The same for a step, at a fraction of the cost."""
        line = (
            f'{{"event": "step", "seed": {seed}, "svi": {svi}, "step": {step}, "loss": {_number(loss)}, '
            f'"rates": [{", ".join(map(_number, rates))}], "norm": {_number(norm)}, "cpu": {_number(cpu)}, '
            f'"nonfinite": {_encode(nonfinite) if nonfinite else _EMPTY}}}\n'
        ).encode("ascii")
        tail = self._tail or self._new_tail()
        if tail is None or len(line) > TAIL - _HEAD:
            self._append(line)
            return
        if self._used + len(line) > TAIL or _now() - self._written > _PAUSE:
            self.flush()
        tail[self._used : self._used + len(line)] = line
        self._used += len(line)
        struct.pack_into("Q", tail, 0, self._used - _HEAD)

    def flush(self) -> None:
        """Put the steps into the journal.  Who is killed between the two lines leaves them in both places."""
        self._written = _now()
        if self._tail is not None and self._used > _HEAD:
            self._append(self._tail[_HEAD : self._used])
            self._used = _HEAD
            struct.pack_into("Q", self._tail, 0, 0)

    def _append(self, data: bytes) -> None:
        try:
            # Opened anew each time: programs that daemonise close every descriptor that they find.
            descriptor = _open(self.path, _APPEND, 0o600)
            try:
                _write(descriptor, data)
            finally:
                _close(descriptor)
        except OSError:
            pass

    def _new_tail(self) -> mmap.mmap | None:
        """This process's own piece of memory; None where it cannot be had."""
        try:
            descriptor = _open(f"{self.path}.{_getpid()}", os.O_RDWR | os.O_CREAT | os.O_EXCL | _CLOEXEC, 0o600)
            try:
                _ftruncate(descriptor, TAIL)
                self._tail = _map(descriptor, TAIL)  # keeps a descriptor of its own, which may be closed
            finally:
                _close(descriptor)
        except (OSError, ValueError):
            return None
        self._used = _HEAD
        return self._tail

    def _forked(self) -> None:
        """What the parent has not yet put into the journal is the parent's."""
        self._tail = None


_EMPTY = '""'


def _number(value: float | None) -> str:
    if value is None:
        return "null"
    return repr(value) if math.isfinite(value) else _encode(value)
