"""The processes that have torch and Pyro loaded, and wait to be forked (``probe/warm.py``): one for each interpreter
and environment.  They end with this process, however it ends."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from pyro_fix.runner import devices, groups, home, locked, remains
from pyro_fix.runner.model import RunRequest

#: Differ from run to run, and nothing that is loaded asks for them.
_NO_MATTER = frozenset({"PYRO_FIX_SPEC", "TMPDIR", "PYTEST_CURRENT_TEST", "PWD", "OLDPWD", "SHLVL", "_"})
#: How many are kept; each holds some hundred megabytes.
_MOST = 2
#: How long a supervisor may take to kill what a program has started.
_PATIENCE = 15.0

_Key = tuple[int, Path, int, frozenset[tuple[str, str]], str]
_numbers = itertools.count()
_parents: dict[_Key, _Parent | None] = {}
_leaving: list[_Parent] = []
"""Those that have been told to end, and may have runs yet that they have forked."""
_lock = threading.Lock()


class Forked:
    """A run in a fork, or one that asks for it."""

    def __init__(self, parent: _Parent, link: socket.socket, stdout: IO[bytes]) -> None:
        """``link`` ends with the run's supervisor."""
        self._parent = parent
        self._link = link
        self.stdout = stdout
        self.began = False
        """Whether a supervisor has come to be."""
        self.refused = False
        """Whether it has to be run afresh."""
        self._hung_up = False

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end; False where it does not come in time."""
        end = time.monotonic() + (_PATIENCE if seconds is None else seconds)
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return False
            self._link.settimeout(left)
            try:
                said = self._link.recv(1)
            except TimeoutError:
                return False
            except OSError:
                said = b""
            if said == b"s":
                self.began = True
                continue
            if not self.began and not self._hung_up:
                self.refused = True
                self._parent.lost = self._parent.lost or not said
            return True

    def hang_up(self) -> None:
        """Ask for the end."""
        self._hung_up = True
        with contextlib.suppress(OSError):
            if self.began:
                self._link.send(b".")
            else:  # nobody is there yet to hear it
                self._link.shutdown(socket.SHUT_RDWR)

    def abandon(self) -> None:
        """Its supervisor is gone, or lost: end all that comes from the same process, which is where it is."""
        if self.began:
            self._parent.kill()

    def close(self) -> None:
        """Let go of it."""
        self._link.close()
        self.stdout.close()


class _Parent:
    """A process that has everything loaded, or is about to."""

    def __init__(
        self, python: Path, boot: Path, environment: Mapping[str, str], policy: Mapping[str, Any] | None
    ) -> None:
        """Start it, held to ``policy``; raises :class:`OSError` where that is not possible."""
        self.lost = False
        """Whether it has ended without being told to."""
        self.owner = os.getpid()
        self._order = home.orders() / f"warm-{next(_numbers)}.json"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            words = [str(python), str(boot), "--warm", str(theirs.fileno())]
            self._process = subprocess.Popen(
                locked.command(words, policy, self._order, tidies=True),
                cwd="/",
                env={**environment, "TMPDIR": str(home.loading())} if policy is not None else dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,  # what its streams are made for is what the programs will have
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[theirs.fileno()],
            )
        # Before anything of the project's can run in it: loading Python takes longer than this.
        self._group = remains.group()
        if self._group:
            groups.enter(self._group, self._process.pid)
        # Where memory is short, the kernel looks here first, and at the programs; they cannot say so themselves.
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text("1000", encoding="ascii")
        self._orders = ours
        threading.Thread(target=self._drain, daemon=True).start()

    def fork(self, order: Path) -> Forked | None:
        """Ask for a run; None where there is nobody to ask."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        reading, writing = os.pipe()
        try:
            socket.send_fds(self._orders, [os.fsencode(order)], [theirs.fileno(), writing])
        except OSError:
            self.lost = True
            ours.close()
            os.close(reading)
            return None
        finally:
            theirs.close()
            os.close(writing)
        return Forked(self, ours, os.fdopen(reading, "rb"))

    def end(self) -> None:
        """End it; runs that it has forked go on."""
        self._orders.close()
        try:
            self._process.wait(0.5)
        except subprocess.TimeoutExpired:  # it is still loading
            self._process.kill()
            self._process.wait()
        self._order.unlink(missing_ok=True)
        remains.drop(self._group)

    def kill(self) -> None:
        """End it with all that it has forked: a run is out of hand."""
        self.lost = True
        if self._group:
            groups.kill(self._group)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
            remains.drop(self._group)
        else:
            self._process.kill()
            self._process.wait()
            remains.end_orphans()

    def leave(self) -> None:
        """Let it end when it has nothing more to do."""
        self._orders.close()

    def has_ended(self) -> bool:
        """Whether it is gone."""
        return self._process.poll() is not None

    def _drain(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            while stream.read1(65536):  # type: ignore[attr-defined]
                pass


def fork(
    request: RunRequest,
    boot: Path,
    order: Path,
    environment: Mapping[str, str],
    policy: Callable[[], Mapping[str, Any]],
) -> Forked | None:
    """Have a run made by a fork; None where it has to be made afresh.

    ``environment`` is that of the run, but for what belongs to the run alone; ``policy`` that of all runs like it.
    """
    # With CUDA there is no safe fork; elsewhere than on Linux nothing kills what is left behind.
    here = request.device in devices.ANYWHERE and sys.platform.startswith("linux")
    if request.fresh or request.target.flags or not here:
        return None
    parent = _parent(request, boot, environment, None if request.sandbox is None else policy())
    return None if parent is None else parent.fork(order)


def _parent(
    request: RunRequest, boot: Path, environment: Mapping[str, str], policy: Mapping[str, Any] | None
) -> _Parent | None:
    settings = {name: value for name, value in environment.items() if name not in _NO_MATTER}
    path = settings.pop("PYTHONPATH", None)
    if path:
        # Its folders are the same wherever the parent stands.
        settings["PYTHONPATH"] = os.pathsep.join(str(request.target.cwd / entry) for entry in path.split(os.pathsep))
    try:
        changed = request.python.stat().st_mtime_ns
    except OSError:
        return None
    key = os.getpid(), request.python, changed, frozenset(settings.items()), json.dumps(policy)
    with _lock:
        for one in [one for one in _leaving if one.has_ended()]:
            _leaving.remove(one)
            one.end()
        parent = _parents.pop(key) if key in _parents else _start(request.python, boot, settings, policy)
        if parent is not None and parent.lost:
            parent.end()
            parent = None  # and never again: what has failed once would cost its start each time
        _parents[key] = parent
        alive = [key for key, parent in _parents.items() if parent is not None]
        for old in alive[:-_MOST]:
            ended = _parents.pop(old)
            assert ended is not None
            ended.leave()
            _leaving.append(ended)
    return parent


def _start(python: Path, boot: Path, settings: Mapping[str, str], policy: Mapping[str, Any] | None) -> _Parent | None:
    try:
        return _Parent(python, boot, settings, policy)
    except OSError:
        return None


def end_all() -> None:
    """End all of them; runs that were forked go on."""
    with _lock:
        for key, parent in list(_parents.items()):
            if parent is not None and key[0] == os.getpid():
                parent.end()
                del _parents[key]
        for one in [one for one in _leaving if one.owner == os.getpid()]:
            one.end()
            _leaving.remove(one)


atexit.register(end_all)
