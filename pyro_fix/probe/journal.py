"""The child's record: one JSON object a line, so that a kill loses nothing.

Events are appended to the journal by a single write each.  Steps are too many for that where they are short: they lie,
packed, in a piece of memory that is a file beside the journal, and go into the journal together, ten times a second.
What is in such a file when its process is killed is there all the same, and ``runner/read.py`` reads it.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
from collections.abc import Callable
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
_USED = struct.Struct("=Q")
#: A step: seed, SVI object, step; loss, norm, CPU seconds; whether the norm is known; rates, and how many they are.
_RATES = 3
_STEP = struct.Struct(f"=qqqddd?B{_RATES}d")
#: How what is told of a program begins that changes the recorder; verify looks for it.
REACHED = "the program reaches into the recorder"
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
        self.guard: Callable[[], str] | None = None
        """Asked now and then whether the recorder is still the one that it was; says what is not."""
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
        tail = self._tail or self._new_tail()
        count = len(rates)
        if tail is None or nonfinite or count > _RATES:
            told = {"seed": seed, "svi": svi, "step": step, "loss": loss, "rates": rates, "norm": norm, "cpu": cpu}
            self.write("step", **told, nonfinite=nonfinite)
            return
        if self._used + _STEP.size > TAIL or _now() - self._written > _PAUSE:
            self.flush()
        known = norm is not None
        padded = (*rates, 0.0, 0.0, 0.0)[:_RATES]
        _STEP.pack_into(tail, self._used, seed, svi, step, loss, norm or 0.0, cpu, known, count, *padded)
        self._used += _STEP.size
        _USED.pack_into(tail, 0, self._used - _HEAD)

    def flush(self) -> None:
        """Put the steps into the journal.  Who is killed between the two lines leaves them in both places."""
        now = _now()
        if now - self._written > _PAUSE:
            self.check()
        self._written = now
        if self._tail is not None and self._used > _HEAD:
            self._append(lines(self._tail[: self._used]))
            self._used = _HEAD
            _USED.pack_into(self._tail, 0, 0)

    def check(self) -> None:
        """Ask the guard, and tell once."""
        guard, self.guard = self.guard, None
        words = guard() if guard is not None else ""
        if words:
            told = {"event": "note", "text": f"{REACHED}: {words} was replaced"}
            self._append((_encode(told) + "\n").encode("ascii"))
        else:
            self.guard = guard

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


def lines(tail: bytes) -> bytes:
    """The steps that a piece of memory holds, as the journal has them."""
    used = min(_USED.unpack_from(tail)[0], len(tail) - _HEAD) if len(tail) >= _HEAD else 0
    whole = tail[_HEAD : _HEAD + used - used % _STEP.size]
    return "".join(_line(*step) for step in _STEP.iter_unpack(whole)).encode("ascii")


def _line(
    seed: int, svi: int, step: int, loss: float, norm: float, cpu: float, known: bool, count: int, *rates: float
) -> str:
    told = {"event": "step", "seed": seed, "svi": svi, "step": step, "loss": loss, "rates": rates[:count]}
    return _encode({**told, "norm": norm if known else None, "cpu": cpu, "nonfinite": ""}) + "\n"
