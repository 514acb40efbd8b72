"""A small process between the runner and the user's program: whatever the program leaves behind ends with it.

``python -I -S supervise.py ORDER.json`` starts the command of the order and ends with it.  When its standard input
is closed (the runner wants an end, or has itself been killed) it kills the command and all its descendants; being their
subreaper it finds even those that have made themselves daemons.  Standard library alone, and the syntax of Python 3.8:
``probe/warm.py`` oversees the programs that it forks with this as well.

The program decides what is found here.  So nothing that goes wrong while looking may keep the end from coming: whatever
is raised, the killing comes after it, and goes on until nobody is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
_POLL = 0.02
#: How many processes that have ended are reaped before something else is looked at: there may be no end to them.
_AT_ONCE = 1000
#: Pauses of the killing while nobody new is there: at first, and when what is there cannot be killed at the moment.
_SHORT, _LONG = 0.001, 0.05


def main() -> None:
    """Start a command of its own, and oversee it."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    runner = os.getppid()
    kept = []

    def start(inside: Callable[[], None]) -> int:
        kept.append(
            subprocess.Popen(
                order["command"],
                cwd=order["cwd"],
                env=order["env"],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=inside if os.name == "posix" else None,
            )
        )
        return kept[0].pid

    oversee(order, start, sys.stdin.fileno(), lambda: os.getppid() != runner)


def oversee(
    order: dict[str, Any], start: Callable[[Callable[[], None]], int], link: int, alone: Callable[[], bool]
) -> None:
    """Start the program, watch it, clean up, and leave the status in the order's ``status`` file.

    ``start`` has the program's process call what it is given before anything else.  The runner wants an end when
    ``link`` becomes readable.  ``alone``: whether there is no runner any more.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    groups, trees, limits = map(_beside, ("groups", "trees", "limits"))
    group = order["group"]
    if group and order["limits"]:
        groups.limit(group, order["limits"]["memory"], order["limits"]["processes"])

    def inside() -> None:
        if group:
            groups.enter(group)
        # Where memory is short, the kernel looks here first.
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")

    # Before the program can have taken anything.
    watch = limits.Watch(os.getpid(), order["limits"], trees) if order["limits"] else None
    try:
        pid = start(inside)
    except (OSError, subprocess.SubprocessError) as error:
        _tell(order["status"], {"error": str(error)})
        return
    told: dict[str, Any] = {"status": None, "exceeded": ""}
    try:
        # From here on only the link and the program's end are an end.
        for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        told["status"], told["exceeded"] = _watch(pid, link, watch)
        if group and told["status"] == -signal.SIGKILL and groups.ran_out(group):
            told["status"], told["exceeded"] = None, "took more memory than it may have (--memory)"
    except BaseException as error:
        told["exceeded"] = f"could not be watched any more: {error!r}"
    finally:
        _kill_all(pid, group, groups, limits)
    if alone():  # nobody else is left to do it
        trees.remove(order["scratch"])
        with contextlib.suppress(OSError):
            Path(order["home"], "runs").rmdir()  # unless there are other runs
            trees.remove(order["home"])
        if group:
            groups.remove(group)
        return
    _tell(order["status"], told)


def _watch(pid: int, link: int, watch: Any) -> tuple[int | None, str]:
    """Wait for the program's end; no status when the runner asks for it first, or when it takes too much."""
    while True:
        for _ in range(_AT_ONCE):  # orphans are ours to reap as well
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


def _tell(path: str, told: dict[str, Any]) -> None:
    """Write into the room that the runner has left for it: a full disk has no other."""
    with open(path, "r+b") as file:  # noqa: PTH123
        file.write(json.dumps(told).encode("ascii"))


def _beside(name: str) -> Any:
    """A module beside this one: isolated as it is, this interpreter knows no packages."""
    path = Path(__file__).resolve().with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"_pyro_fix_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _kill_all(pid: int, group: str | None, groups: Any, limits: Any) -> None:
    """Kill the program and all that it has started, until none is left, which the kernel says: we have no child.

    Who forks and exits at once is only met between the two, so there is no pause and no end to this.  Orphans come to
    us, the subreaper; that is why they are looked for from here.
    """
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, -20)  # root alone may
    before: list[int] = []
    rounds = 0
    while True:
        if group:
            groups.kill(group)
        living = limits.descendants(os.getpid())[0]
        for descendant in living:
            with contextlib.suppress(OSError):
                os.kill(descendant, signal.SIGKILL)
        try:
            for _ in range(_AT_ONCE):
                if not os.waitpid(-1, os.WNOHANG)[0]:
                    break
        except ChildProcessError:
            return
        rounds += 1
        if living == before:
            time.sleep(_SHORT if rounds < 100 else _LONG)
        before = living


if __name__ == "__main__":
    main()
