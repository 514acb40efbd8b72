"""The folder of this process' runs; it goes when this process ends.

Below ``runs`` and ``loading`` the project's interpreter may write, the programs below folders of their own in ``runs``.
What pyro-fix itself goes by, the orders, lies beside them, where nothing of the project can change it.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyro_fix.runner import folders

#: Bytes that a supervisor may need for what it has to tell: a full disk has no other.
_ROOM = 4096

_lock = threading.Lock()
_home: tuple[int, str, Path] | None = None


def folder() -> Path:
    """The folder itself, which is made when it is first asked for."""
    global _home
    with _lock:
        place = os.getpid(), folders.base()
        if _home is None or _home[:2] != place or not _home[2].is_dir():
            made = folders.make()
            try:
                for part in ("runs", "loading", "orders"):
                    (made / part).mkdir()
            except OSError:
                folders.remove(made)
                raise
            _home = (*place, made)
            atexit.register(_remove, *_home)
        return _home[2]


def runs() -> Path:
    """Where programs may write."""
    return folder() / "runs"


def loading() -> Path:
    """For the temporary files of what programs are forked from."""
    return folder() / "loading"


def orders() -> Path:
    """Where they may not."""
    return folder() / "orders"


@contextlib.contextmanager
def run(kind: str = "run-") -> Iterator[Path]:
    """A folder below :func:`runs` for as long as it lasts."""
    path = Path(tempfile.mkdtemp(prefix=kind, dir=runs()))
    try:
        yield path
    finally:
        folders.remove(path)


def make_room(status: Path) -> None:
    """Make the file that a supervisor leaves its status in."""
    status.write_bytes(b" " * _ROOM)


def told(status: Path) -> dict[str, Any]:
    """What the supervisor has left; nothing where it has died."""
    try:
        said = json.loads(status.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _remove(pid: int, _: str, made: Path) -> None:
    if os.getpid() == pid:
        folders.remove(made)
