"""A process that has torch and Pyro loaded, and forks one run after the other: most of a short run is the imports.

The runner starts it as ``boot.py --warm DESCRIPTOR``; the descriptor is a socket on which it gives its orders, and
whose end is the end of this process.  An order is the path of a run's ``order.json``, with two descriptors: the run's
link to the runner, and where its output goes.  For each a supervisor is forked (``runner/supervise.py``, which watches
the link in its turn and needs neither this process nor the socket any more), and from it the program.

A forked program must find what a fresh one finds.  Whatever cannot be made so is refused, and run afresh.
"""

from __future__ import annotations

import array
import contextlib
import gc
import importlib
import importlib.util
import json
import linecache
import multiprocessing.process
import os
import select
import shutil
import socket
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from . import files, overlay

_SUPERVISE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "runner", "supervise.py")


class Unfit(Exception):
    """This process cannot stand for a fresh one."""


class Left(Exception):
    """The runner has gone."""


class _Program(BaseException):
    """Leads out of the supervisor's frames: on the program's stack lies nothing that a fresh one has not."""


def serve(descriptor: int, early: frozenset[str]) -> None:
    """Load everything, then carry out orders until the runner closes its end.

    Returns in each process that is to run a program, as if the overlay had just come into force in a fresh one, and in
    no other.  ``early``: the modules that a fresh run has loaded by then.
    """
    orders = socket.socket(fileno=descriptor)
    try:
        _load(orders)
        parent = _Parent(orders, early)
    except Unfit:
        os._exit(0)
    except Left:
        _clear(orders)
        os._exit(0)
    # What lies here now is never looked at by a collection again, so it stays shared between the processes.
    gc.collect()
    gc.freeze()
    parent.become(parent.program())


class _Run:
    """What the runner has asked for."""

    def __init__(self, path: str, link: int, output: int) -> None:
        """``path`` of the order; ``link`` to the runner; where ``output`` goes."""
        self.link = socket.socket(fileno=link)
        self.output = output
        with open(path, encoding="utf-8") as file:
            self.order = json.load(file)
        with open(self.order["env"]["PYRO_FIX_SPEC"], encoding="utf-8") as file:
            self.spec = json.load(file)

    @property
    def given_up(self) -> bool:
        """Whether the runner has closed the link."""
        try:
            return not self.link.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def remove(self) -> None:
        """Remove the folder of a run that the runner has left behind: nothing has run in it."""
        shutil.rmtree(self.order["scratch"], ignore_errors=True)
        if self.order["group"]:
            with contextlib.suppress(OSError):
                os.rmdir(self.order["group"])

    def close(self) -> None:
        """Let go of it."""
        self.link.close()
        os.close(self.output)


def _next(orders: socket.socket) -> _Run | None:
    """The next run; None when there will be none."""
    while True:
        room = socket.CMSG_SPACE(2 * array.array("i").itemsize)
        data, told, _, _ = orders.recvmsg(65536, room, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
        if not data:
            return None
        descriptors = array.array("i")
        for _, _, raw in told:
            descriptors.frombytes(raw)
        try:
            return _Run(os.fsdecode(data), *descriptors)
        except (OSError, ValueError):  # its folder is gone: the run was given up
            for descriptor in descriptors:
                os.close(descriptor)


def _clear(orders: socket.socket) -> None:
    """Remove what a runner that has gone has left behind in its orders."""
    while True:
        run = _next(orders)
        if run is None:
            return
        run.remove()
        run.close()


def _load(orders: socket.socket) -> None:
    """Import what a run imports, and make one step of an SVI for all that is made at the first step."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

        # A process in which a second thread has computed cannot be forked: the fork hangs.
        torch.set_num_threads(1)
        torch.set_num_interop_threads(1)
        _heed(orders)
        if torch.cuda.is_available():
            raise Unfit("CUDA and forks do not go together")
        import pyro

        _heed(orders)
        with contextlib.suppress(ImportError):
            import torch._dynamo
        _heed(orders)
        _step(pyro, torch)
        for name in ("session", "record", "look", "facts", "slices", "referee", "weights"):
            importlib.import_module(f"{__package__}.{name}")


def _heed(orders: socket.socket) -> None:
    """Stop where the runner has gone in the meantime."""
    poll = select.poll()
    poll.register(orders, 0)  # of a hang-up one always hears
    if poll.poll(0):
        raise Left


def _step(pyro: Any, torch: Any) -> None:
    """The smallest SVI there is; nothing of it stays."""
    import random

    kept = random.getstate(), torch.get_rng_state()

    def model() -> None:
        pyro.sample("z", pyro.distributions.Normal(0.0, 1.0))

    def guide() -> None:
        loc = pyro.param("loc", torch.tensor(0.0))
        pyro.sample("z", pyro.distributions.Normal(loc, 1.0))

    optimizer = pyro.optim.Adam({"lr": 0.01})
    pyro.infer.SVI(model, guide, optimizer, loss=pyro.infer.Trace_ELBO()).step()
    pyro.clear_param_store()
    random.setstate(kept[0])
    torch.set_rng_state(kept[1])


class _Parent:
    """This process, from when everything is loaded."""

    def __init__(self, orders: socket.socket, early: frozenset[str]) -> None:
        """Raises :class:`Unfit` where a fork would not be safe, or would not be what a fresh process is."""
        self._orders = orders
        if threading.active_count() > 1 or len(os.listdir("/proc/self/task")) > 1:
            raise Unfit("with threads there is no safe fork")
        self._loaded = {name: _file(module) for name, module in list(sys.modules.items())}
        libraries = files.Libraries()
        if not all(libraries.owns(file) for name, file in self._loaded.items() if file and name != "__main__"):
            raise Unfit("something of the user's own is loaded: its source may be another one in a run")
        self._files = {os.path.realpath(file) for file in self._loaded.values() if file}
        self._bound = list(_bound(early))
        self._supervisor = _module("_pyro_fix_supervise", _SUPERVISE)

    def program(self) -> _Run:
        """Carry out all orders; returns in the processes of the programs alone."""
        while True:
            run = _next(self._orders)
            # At the end all supervisors have to do with is their own ends.
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG if run else 0)[0]:
                    pass
            if run is None:
                os._exit(0)
            if run.given_up:
                run.remove()
            elif self._differs(run.spec):
                run.link.send(b"f")
            elif os.fork() == 0:
                self._supervise(run)
                return run
            run.close()

    def _differs(self, spec: dict[str, Any]) -> bool:
        """Whether a fresh process would have loaded other modules than this one has."""
        if not self._files.isdisjoint([*spec["overlay"], *spec["marks"]]):
            return True
        target = spec["target"]
        place = target["cwd"]
        if target["kind"] == "script":
            place = os.path.dirname(os.path.realpath(os.path.join(place, target["name"])))
        try:
            entries = list(os.scandir(place))
        except OSError:
            return False
        for entry in entries:
            name = entry.name.partition(".")[0]
            if name in self._loaded and entry.name != name:
                hides = entry.name.endswith((".py", ".pyc", ".so"))
            else:
                hides = name in self._loaded and os.path.isfile(os.path.join(entry.path, "__init__.py"))
            if hides and os.path.realpath(entry.path) not in self._files:
                return True
        return False

    def _supervise(self, run: _Run) -> None:
        """Be the run's supervisor, whose life hangs on the link alone; returns in the program's process."""

        def start(inside: Callable[[], None]) -> int:
            os.chdir(run.order["cwd"])
            pid = os.fork()
            if pid == 0:
                inside()
                raise _Program
            return pid

        try:
            os.setsid()
            self._orders.close()
            for standard in (1, 2):
                os.dup2(run.output, standard)
            run.link.send(b"s")
            self._supervisor.oversee(run.order, start, run.link.fileno(), lambda: run.given_up)
        except _Program:
            os.setsid()
            run.close()
            return
        except BaseException:
            traceback.print_exc()
        os._exit(0)

    def become(self, run: _Run) -> None:
        """Make of this process what a fresh one is when its overlay has come into force."""
        os.environ.clear()
        os.environ.update(run.order["env"])
        if hasattr(sys, "orig_argv"):
            sys.orig_argv[:] = run.order["argv"]
        tempfile.tempdir = None
        # A spawned process looks for the main script from here.
        multiprocessing.process.ORIGINAL_DIR = run.order["cwd"]  # type: ignore[attr-defined]
        importlib.invalidate_caches()
        linecache.clearcache()
        overlay.enter(run.spec)
        for names, name, owner, attribute in self._bound:
            names[name] = vars(owner)[attribute]


def _file(module: Any) -> str:
    """The file that a module comes from; empty where it has none (``torch.ops`` says that it lies in ``_ops.py``)."""
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) and os.path.isabs(file) else ""


def _bound(early: frozenset[str]) -> Iterator[tuple[dict[str, Any], str, ModuleType, str]]:
    """Where modules have bound functions that the overlay is going to replace: ``names[name]`` is ``owner.attribute``.

    A fresh process loads these modules later, when the functions have been replaced.
    """
    owners = [
        sys.modules[name] for name in ("builtins", "io", "os", "shutil", *overlay.AFTER_IMPORT) if name in sys.modules
    ]
    known = {
        id(value): (owner, name)
        for owner in owners
        for name, value in vars(owner).items()
        if callable(value) and not isinstance(value, type) and not name.startswith("__")
    }
    for key, module in list(sys.modules.items()):
        if key in early or key.startswith(__package__) or not isinstance(module, ModuleType):
            continue
        for name, value in list(vars(module).items()):
            found = known.get(id(value))
            if found is not None and found[0] is not module:
                yield vars(module), name, found[0], found[1]


def _module(name: str, path: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
