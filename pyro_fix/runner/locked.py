"""Start the project's interpreter behind the door: ours locks itself in (``probe/lock.py``) and becomes it.

Every start of an interpreter of the project goes this way, also where it is only asked for its versions: ``python`` may
be anything, and the environment that it starts with runs code before any of ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyro_fix.runner import home, remains, sandbox
from pyro_fix.runner.model import Sandbox

_PROBE = Path(__file__).resolve().parent.parent / "probe"
SUPERVISOR = Path(__file__).resolve().with_name("supervise.py")
#: What an answer may take; it is short.
_LONGEST = 1 << 16
#: Seconds that a supervisor may take to end what is left.
_PATIENCE = 15.0


class NoAnswer(Exception):
    """The interpreter has not said what it was asked; the message is for the user."""


def command(
    words: Sequence[str],
    policy: Mapping[str, Any] | None,
    order: Path,
    *,
    journal: Path | None = None,
    tidies: bool = False,
) -> list[str]:
    """The command that does what ``words`` do, locked in; ``words`` themselves where that is not wanted or possible.

    ``order`` is the file to be written for it, where no program can change it.  ``journal`` hears of it where the lock
    has to hold and does not.  ``tidies``: what stays outside removes the folder of runs when this process was killed.
    """
    if policy is None or not sys.platform.startswith("linux"):
        return list(words)
    told = {
        "policy": policy,
        "journal": str(journal) if journal is not None else None,
        "home": str(home.folder()) if tidies else None,
    }
    order.write_text(json.dumps(told), encoding="utf-8")
    return [sys.executable, "-I", "-S", str(_PROBE / "lock.py"), str(order), *words]


def ask(python: Path, code: str, *arguments: str, allowed: Sandbox | None, seconds: float) -> Any:
    """What a few lines of ours print as JSON under ``python``; raises :class:`NoAnswer`.

    Nobody vouches for ``python``: it may write nowhere, and whatever it starts ends here.
    """
    if not os.access(python, os.X_OK):
        raise NoAnswer(f"{python} cannot be run")
    with home.run("ask-") as scratch:
        name = home.orders() / scratch.name
        order, lock, status = (name.with_name(f"{scratch.name}-{part}.json") for part in ("order", "lock", "status"))
        policy = sandbox.policy_of(allowed, [scratch], places(python), [])
        environment = dict(os.environ) if allowed is None else sandbox.scrubbed(os.environ)
        group = remains.group()
        told = {
            "command": command([str(python), "-c", code, *arguments], policy, lock),
            "cwd": "/",
            "env": {**environment, "TMPDIR": str(scratch)},
            "status": str(status),
            "scratch": str(scratch),
            "home": str(home.folder()),
            "limits": sandbox.limits_of(allowed, [scratch]),
            "group": group,
        }
        try:
            home.make_room(status)
            order.write_text(json.dumps(told), encoding="utf-8")
            said = _said(order, seconds)
            ended = home.told(status)
        finally:
            remains.end(group)
            for file in (order, lock, status):
                file.unlink(missing_ok=True)
    tail = " ".join(said.split())[-300:]
    if ended.get("status") != 0:
        raise NoAnswer(ended.get("error") or ended.get("exceeded") or tail or f"it ended with {ended.get('status')}")
    for line in reversed(said.splitlines()):  # it may have had other things to say
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(line)
    raise NoAnswer(tail or "it said nothing")


def _said(order: Path, seconds: float) -> str:
    """The end of the output of an order's command."""
    end = time.monotonic() + seconds
    said = b""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(SUPERVISOR), str(order)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            while True:
                left = end - time.monotonic()
                if left <= 0 or not _readable(process.stdout, left):
                    raise NoAnswer(f"it has not answered in {seconds:g} s")
                block = os.read(process.stdout.fileno(), _LONGEST)
                if not block:
                    break
                said = (said + block)[-_LONGEST:]
        finally:
            process.stdin.close()  # the supervisor's sign to end all that is left
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
    return said.decode("utf-8", "replace")


def _readable(stream: Any, seconds: float) -> bool:
    if os.name == "nt":  # where a pipe can only be waited for by reading it
        return True
    return bool(select.select([stream], [], [], seconds)[0])


def places(python: Path) -> list[Path]:
    """Where an interpreter and its environment lie: they may be read, whatever they lie below.

    Found without starting it, by the links that lead to it and by ``pyvenv.cfg``; only what is a program counts.
    """
    found: dict[Path, None] = {}
    waiting = [python.absolute()]
    while waiting:
        path = waiting.pop()
        prefix = path.parent.parent
        if prefix in found or not path.name.startswith("python") or not path.is_file() or not os.access(path, os.X_OK):
            continue
        found[prefix] = None
        with contextlib.suppress(OSError):
            waiting.append(path.parent / path.readlink())
        with contextlib.suppress(OSError, ValueError):
            lines = (prefix / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()[:100]
            homes = [line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "home"]
            waiting += [Path(home, name) for home in homes for name in ("python3", "python")]
    return list(found)
