"""A small process between the runner and the user's program: whatever the program leaves behind ends with it.

``python -I -S supervise.py ORDER.json`` starts the command of the order and ends with it.  When its standard input
is closed (the runner wants an end, or has itself been killed) it kills the command and all its descendants; being their
subreaper it finds even those that have made themselves daemons.  Standard library alone, and the syntax of Python 3.8:
``probe/warm.py`` oversees the programs that it forks with this as well.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
_POLL = 0.02


def main() -> None:
    """Start a command of its own, and oversee it."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    runner = os.getppid()
    kept = []

    def start() -> int:
        kept.append(
            subprocess.Popen(
                order["command"], cwd=order["cwd"], env=order["env"], stdin=subprocess.DEVNULL, start_new_session=True
            )
        )
        return kept[0].pid

    oversee(order, start, sys.stdin.fileno(), lambda: os.getppid() != runner)


def oversee(order: dict[str, Any], start: Callable[[], int], link: int, alone: Callable[[], bool]) -> None:
    """Start the program, watch it, clean up, and leave the status in the order's ``status`` file.

    The runner wants an end when ``link`` becomes readable.  ``alone``: whether there is no runner any more.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        pid = start()
    except OSError as error:
        Path(order["status"]).write_text(json.dumps({"error": str(error)}), encoding="utf-8")
        return
    status, exceeded = _watch(pid, link, order["limits"])
    _kill_all(pid)
    if alone():
        shutil.rmtree(order["scratch"], ignore_errors=True)  # nobody else is left to do it
        with contextlib.suppress(OSError, KeyError):
            Path(order["home"], "runs").rmdir()  # unless there are other runs
            shutil.rmtree(order["home"])
        return
    Path(order["status"]).write_text(json.dumps({"status": status, "exceeded": exceeded}), encoding="utf-8")


def _watch(pid: int, link: int, limits: dict[str, Any] | None) -> tuple[int | None, str]:
    """Wait for the program's end; no status when the runner asks for it first, or when it takes too much."""
    watch = _limits().Watch(os.getpid(), limits) if limits else None
    while True:
        while True:  # orphans are ours to reap as well
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return None, ""
            if ended == pid:
                return (os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)), ""
            if not ended:
                break
        # Nothing is ever said on the link: it ends, or one byte asks for the end.
        if select.select([link], [], [], _POLL)[0]:
            return None, ""
        exceeded = watch.exceeded() if watch else ""
        if exceeded:
            return None, exceeded


def _limits() -> Any:
    """The module beside this one: isolated as it is, this interpreter knows no packages."""
    path = Path(__file__).resolve().with_name("limits.py")
    spec = importlib.util.spec_from_file_location("limits", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _kill_all(pid: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        living = _descendants(os.getpid())
        if not living:
            return
        for descendant in living:
            with contextlib.suppress(OSError):
                os.kill(descendant, signal.SIGKILL)
        time.sleep(0.005)


def _descendants(root: int) -> list[int]:
    """All living descendants of ``root``, from ``/proc``; none where there is no such thing."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may hold anything; state and parent follow it.
            state, parent = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state != "X":
            children.setdefault(int(parent), []).append(int(entry.parent.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


if __name__ == "__main__":
    main()
