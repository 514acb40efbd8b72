"""The folder of this process' runs; it goes when this process ends.

Below ``runs`` and ``loading`` the project's interpreter may write, the programs below folders of their own in ``runs``.
What pyro-fix itself goes by, the orders, lies beside them, where nothing of the project can change it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from pathlib import Path

_lock = threading.Lock()
_home: tuple[int, str, Path] | None = None


def folder() -> Path:
    """The folder itself, which is made when it is first asked for."""
    global _home
    with _lock:
        place = os.getpid(), tempfile.gettempdir()
        if _home is None or _home[:2] != place or not _home[2].is_dir():
            made = Path(tempfile.mkdtemp(prefix="pyro-fix-")).resolve()
            for part in ("runs", "loading", "orders"):
                (made / part).mkdir()
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


def _remove(pid: int, _: str, made: Path) -> None:
    if os.getpid() == pid:
        shutil.rmtree(made, ignore_errors=True)
