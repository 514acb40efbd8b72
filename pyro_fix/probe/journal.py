"""The child's record: one JSON object a line, each appended by a single write, so that a kill loses nothing."""

from __future__ import annotations

import json
import os
from typing import Any

# Kept before anything of the user's (or of ours) replaces them.
_open, _write, _close = os.open, os.write, os.close
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
# ``json.dumps`` would make one anew at every call.
_encode = json.JSONEncoder(default=str).encode


class Journal:
    """An append-only file that forked processes share."""

    def __init__(self, path: str) -> None:
        """Write to ``path``, which is created by the first event."""
        self.path = path

    def write(self, event: str, **fields: Any) -> None:
        """Append one event; a full disk is no reason to break the user's program."""
        line = _encode({"event": event, **fields}) + "\n"
        try:
            # Opened anew each time: programs that daemonise close every descriptor that they find.
            descriptor = _open(self.path, _FLAGS, 0o600)
            try:
                _write(descriptor, line.encode("ascii"))
            finally:
                _close(descriptor)
        except OSError:
            pass
