"""Start the user's program in a child process, watch it, and leave nothing of it behind."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from pyro_fix import interruption, sources
from pyro_fix import notebook as notebooks
from pyro_fix.observation import Failure, Observation
from pyro_fix.runner import folders, home, interpreter, journals, locked, read, remains, sandbox, warm
from pyro_fix.runner.model import RunRequest, Target

_PROBE = Path(__file__).resolve().parent.parent / "probe"
#: The last part of the time is the child's, to end by itself with everything reported.
_CHILD_SHARE = 0.9
_TAIL = 50
_LONGEST_LINE = 1 << 16
#: Seconds after which it is asked again whether a run is still wanted.
_ASK = 0.25
#: Seconds that a supervisor has to kill what a program has started.  It goes on after them, but nobody waits for it.
_PATIENCE = 15.0

_SITE = """\
import os, sys
sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(os.path.abspath(__file__))]
try:
    import importlib.util as _util
    _spec = _util.spec_from_file_location("_pyro_fix_boot", {boot!r})
    _boot = _util.module_from_spec(_spec)
    _spec.loader.exec_module(_boot)
    _boot.enter()
except Exception as _error:
    sys.stderr.write("pyro-fix: the overlay is not in force: %r\\n" % (_error,))
    os._exit(70)
# The sitecustomize that this one hides.
_own = sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize
except ImportError:
    sys.modules["sitecustomize"] = _own
"""


class _Started(Protocol):
    """A run's supervisor, which kills all that the run has started when it is told to end."""

    stdout: IO[bytes]

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; False where it does not come in ``seconds``."""

    def hang_up(self) -> None:
        """Ask for the end."""

    def abandon(self) -> None:
        """End, from outside, what it does not end."""

    def close(self) -> None:
        """Let go of it."""


class _Fresh:
    """A supervisor that starts an interpreter."""

    def __init__(self, order: Path) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(locked.SUPERVISOR), str(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for us, we pass it on
        )
        interruption.spared.add(self._process.pid)
        assert self._process.stdout is not None
        self.stdout = self._process.stdout

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        interruption.spared.discard(self._process.pid)
        return True

    def hang_up(self) -> None:
        """Close the supervisor's standard input: it ends the program and everything that the program started."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def abandon(self) -> None:
        """Kill what it has left behind, if it has died; it is in the run's group, or comes to us."""
        if self._process.poll() is not None:
            remains.end_orphans()

    def close(self) -> None:
        """Let go of its output."""
        self.stdout.close()


_running: set[_Started] = set()
_running_lock = threading.Lock()
interruption.at_last(folders.leave)


def stop_all() -> None:
    """Kill every program that is running, from whichever thread it was started; their ``run`` calls return."""
    with _running_lock:
        started = list(_running)
    for one in started:
        one.hang_up()
    warm.end_all()


def run(
    request: RunRequest,
    *,
    on_line: Callable[[str], None] | None = None,
    given_up: Callable[[], bool] | None = None,
) -> Observation:
    """Run a program once and return what it showed.

    Blocks until the program and all that it started are gone, ``request.timeout`` at most.  ``on_line`` hears each
    line of the program's output, from another thread.  ``given_up`` is asked now and then whether the run is to end as
    a killed one.  May be called from several threads at once.  Never raises for
    what the program does; an exception in this thread (Ctrl-C) ends the program first.
    """
    started = time.monotonic()
    found = interpreter.check(request.python, request.sandbox)
    if isinstance(found, Failure):
        return read.broken(request, found)
    try:
        request = _with_program(request)
    except sources.SourceError as error:
        return read.broken(request, Failure("notebook", str(error)))
    versions = {"python": found.version, "torch": found.torch, "pyro": found.pyro}
    watch = _Watch(started + request.timeout, on_line, given_up)
    try:
        with home.run() as scratch:
            seen = _with_substitutes(request, scratch, watch, versions)
            seen = replace(seen, seconds=time.monotonic() - started)
            if seen.failure is not None and seen.failure.kind in ("killed", "no-svi") and folders.is_full(scratch):
                seen = replace(seen, failure=Failure("killed", folders.no_space()))
            return seen
    except read.JournalError as error:
        return read.broken(request, Failure("journal", f"what the run recorded cannot be read: {error}"))
    except OSError as error:  # of ours: what is the program's does not come here
        words = folders.no_space() if folders.says_full(error) else f"cannot be run: {error}"
        return read.broken(request, Failure("killed", words))


#: What programs have been found to need; they are not run without it again.
_needs: dict[tuple[Target, Path, str, bool], frozenset[str]] = {}


def _with_substitutes(request: RunRequest, scratch: Path, watch: _Watch, versions: Mapping[str, str]) -> Observation:
    """Run the program as it is; where it ends for want of something that has a substitute, once more with that.

    A program that runs as it is has none of them in its process.
    """
    key = request.target, request.python, request.device, request.stand_ins
    request = replace(request, substitutes=request.substitutes | _needs.get(key, frozenset()))
    without: Observation | None = None
    while True:
        events, end = _children(request, scratch, watch)
        seen = read.observation(request, events, end, versions, 0.0, _roots(request.target))
        lacking = read.lacking(request, seen) - request.substitutes
        if lacking and watch.left > 0:
            without = without or seen
            request = replace(request, substitutes=request.substitutes | lacking)
        elif without is None or not read.has_begun(seen):
            return without or seen  # what is missing says more than that nothing came of it
        else:
            _needs[key] = request.substitutes
            return seen


def _children(request: RunRequest, scratch: Path, watch: _Watch) -> tuple[list[dict[str, Any]], End]:
    """Run the processes that a run takes; returns what they have recorded, and how the last of them ended."""
    with_all = "".join(f"-{what}" for what in sorted(request.substitutes))
    events, end = _child(request, scratch / f"first{with_all}", list(request.seeds), watch)
    names = {event["event"] for event in events}
    # What one process could not fork off gets processes of its own.
    if "alone" in names:
        for seed in request.seeds[1:]:
            if end.why == "":
                more, end = _child(request, scratch / f"seed{seed}{with_all}", [seed], watch, only_steps=True)
                events += more
    if "unlooked" in names and end.why == "":
        more, _ = _child(request, scratch / f"look{with_all}", [request.seeds[0]], watch, inline=True)
        events += [event for event in more if event["event"] in ("look", "facts")]
    return events, end


def _with_program(request: RunRequest) -> RunRequest:
    """The request with the program in the overlay that the cells of its notebook are, where it runs one."""
    target = request.target
    if not target.is_notebook:
        return request
    path = Path(os.path.realpath(target.cwd / target.name))
    files = {Path(os.path.realpath(file)): data for file, data in request.overlay.items()}
    notebook = notebooks.from_bytes(path, files[path]) if path in files else notebooks.read(path)
    return replace(request, overlay={**files, path: notebook.runnable})


@dataclass(frozen=True)
class _Watch:
    """Who watches a run, and for how long."""

    deadline: float
    """By ``time.monotonic()``."""
    on_line: Callable[[str], None] | None
    given_up: Callable[[], bool] | None

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()

    def over(self, started: _Started) -> str:
        """Wait for the end; says why it has to be brought about, empty when it has come by itself."""
        while not started.wait(max(self.left if self.given_up is None else min(self.left, _ASK), 0)):
            if self.left <= 0:
                return "timeout"
            if self.given_up is not None and self.given_up():
                return "killed"
        return ""


@dataclass
class End:
    """How a child ended."""

    status: int | None = None
    """Exit status, negative for a signal; None when we killed it or it never started."""
    why: str = ""
    """``timeout``, ``killed`` (by :func:`stop_all`), ``limit`` (it took too much), ``start`` (it could not be started),
    or empty."""
    message: str = ""
    tail: list[str] = field(default_factory=list)
    """The last lines of its output."""
    unwatched: bool = False
    """Whether its supervisor has died before it."""


def _child(
    request: RunRequest,
    scratch: Path,
    seeds: list[int],
    watch: _Watch,
    *,
    only_steps: bool = False,
    inline: bool = False,
) -> tuple[list[dict[str, Any]], End]:
    """Run one child process to its end; returns its journal."""
    left = watch.left
    if left <= 0:
        return [], End(why="timeout")
    for folder in ("tmp", "site", "overlay"):
        (scratch / folder).mkdir(parents=True)
    if request.save_states:
        request.save_states.mkdir(parents=True, exist_ok=True)  # the sandbox opens what is there
    places = _places(request)
    spec = _spec(request, scratch, seeds, left, plain=only_steps or inline, inline=inline, places=places)
    (scratch / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    (scratch / "site" / "sitecustomize.py").write_text(_SITE.format(boot=str(_PROBE / "boot.py")), encoding="utf-8")
    words = [str(request.python), *request.target.flags, str(_PROBE / "boot.py"), "--program"]
    journal = scratch / "journal.jsonl"
    # What the supervisors go by lies where no program can put something else in its place.
    orders = [
        home.orders() / f"{scratch.parent.name}-{scratch.name}-{part}.json" for part in ("order", "lock", "status")
    ]
    path, lock, status = orders
    # That of a fork writes it, as all else, where the process may write that it is forked from.
    status_of_fork = scratch.with_name(f"{scratch.name}-status.json")
    group = remains.group()
    order: dict[str, Any] = {
        "command": words,
        "argv": words,
        "cwd": str(request.target.cwd),
        "env": _environment(request, scratch),
        "status": str(status_of_fork),
        "scratch": str(scratch.parent),
        "home": str(home.folder()),
        "limits": sandbox.limits(request, scratch),
        "group": group,
    }
    journals.tell(journal)
    end = End()
    try:
        for file in (status, status_of_fork):
            home.make_room(file)
        path.write_text(json.dumps(order), encoding="utf-8")
        around = partial(sandbox.around, spec["sandbox"], [home.runs(), home.loading()], places)
        forked = warm.fork(request, _PROBE / "boot.py", path, _environment(request, None), around)
        if forked is not None:
            end = _attend(forked, status_of_fork, watch)
        if forked is None or forked.refused:
            order["command"] = locked.command(words, spec["sandbox"], lock, journal=journal)
            order["status"] = str(status)
            path.write_text(json.dumps(order), encoding="utf-8")
            end = _attend(_Fresh(path), status, watch)
    finally:
        remains.end(group)
        for file in orders:
            file.unlink(missing_ok=True)
    found = read.events(journal, request)
    if forked is not None and not found and not end.why and not request.fresh:
        # It came to nothing, perhaps because it was forked.
        again = scratch.with_name(f"{scratch.name}-afresh")
        request = replace(request, fresh=True)
        return _child(request, again, seeds, watch, only_steps=only_steps, inline=inline)
    return found, end


def _attend(started: _Started, status: Path, watch: _Watch) -> End:
    """Wait for the end of what was started, and see to it that it comes."""
    end = End()
    tail: deque[str] = deque(maxlen=_TAIL)
    with _running_lock:
        _running.add(started)
    reader = threading.Thread(target=_listen, args=(started.stdout, tail, watch.on_line), daemon=True)
    reader.start()
    try:
        end.why = watch.over(started)
    finally:
        started.hang_up()
        over = started.wait(_PATIENCE)
        reader.join(2)
        with _running_lock:
            _running.discard(started)
        # Something that lives on may hold the other end; closing this one would then wait for the reader.
        if not reader.is_alive():
            started.close()
    told = home.told(status)
    end.status = told.get("status")
    end.tail = list(tail)
    if "error" in told:
        end.why, end.message = "start", told["error"]
    elif told.get("exceeded"):
        end.why, end.message = "limit", told["exceeded"]
    elif end.status is None and not end.why:
        end.why = "killed"
    if not over or not told:
        # It has died, or does not come to an end: then neither it nor what it watched may go on.
        end.unwatched = not told
        started.abandon()
    return end


def _listen(stream: IO[bytes], tail: deque[str], on_line: Callable[[str], None] | None) -> None:
    with contextlib.suppress(ValueError, OSError):
        # A program that never ends its line must not fill our memory.
        for raw in iter(lambda: stream.readline(_LONGEST_LINE), b""):
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            tail.append(line)
            if on_line is not None:
                with contextlib.suppress(Exception):  # a program must not hang because nobody reads what it says
                    on_line(line)


def _spec(
    request: RunRequest,
    scratch: Path,
    seeds: list[int],
    left: float,
    *,
    plain: bool,
    inline: bool,
    places: list[Path],
) -> dict[str, Any]:
    """What the probe is told."""
    overlay = {}
    for number, (path, data) in enumerate(request.overlay.items()):
        shown = scratch / "overlay" / f"{number}{path.suffix}"
        shown.write_bytes(data)
        overlay[os.path.realpath(path)] = str(shown)
    marks: dict[str, dict[int, str]] = {}
    for path, lines in request.marks.items():
        marks.setdefault(os.path.realpath(path), {}).update({line: f"{path}:{line}" for line in lines})
    target = request.target
    deep = request.deep if inline or not plain else None
    referee = None if plain else request.referee
    return {
        "target": {
            "kind": target.kind,
            "name": target.name,
            "args": list(target.args),
            "cwd": str(target.cwd),
            "path": [str(folder) for folder in target.path],
        },
        "overlay": overlay,
        "marks": marks,
        "roots": _roots(target),
        "scratch": str(scratch),
        "journal": str(scratch / "journal.jsonl"),
        "steps": 1 if inline else request.steps,
        "to_the_end": request.to_the_end,
        "seeds": seeds,
        "preseed": request.seeds[0],
        "deep": {"seeds": deep.seeds, "slices": deep.slices, "facts": deep.facts} if deep else None,
        "inline": inline,
        "referee": {
            "states": {label: str(folder.absolute()) for label, folder in referee.states.items()},
            "evaluations": referee.evaluations,
            "moments": list(referee.moments),
            "way": referee.way,
            "draws": referee.draws,
        }
        if referee
        else None,
        "save_states": str(request.save_states.absolute()) if request.save_states and not inline else None,
        "expect_svis": max(1, request.expect_svis),
        "timeout": left,
        "deadline": time.time() + left * _CHILD_SHARE,
        "device": request.device,
        "any_version": request.any_version,
        "stand_ins": "modules" in request.substitutes,
        "cpu_for_cuda": "cuda" in request.substitutes,
        "sandbox": sandbox.policy(request, scratch, _roots(target, linked=False), places),
    }


def _places(request: RunRequest) -> list[Path]:
    """What the interpreter itself reads: its environment, and the folders that the user has put on its path."""
    path = [request.target.cwd / entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    return [*locked.places(request.python), *path]


def _roots(target: Target, *, linked: bool = True) -> list[str]:
    """The project's folders: those of the program, or the repositories that they belong to.

    ``linked``: a script that is a link belongs where it leads to.
    """
    folders = {Path(os.path.realpath(target.cwd))}
    if target.kind == "script":
        script = target.cwd / target.name
        folders.add(Path(os.path.realpath(script)).parent if linked else Path(os.path.realpath(script.parent)))
    roots = set()
    for folder in folders:
        repository = next((parent for parent in (folder, *folder.parents) if os.path.exists(parent / ".git")), folder)  # noqa: PTH110
        roots |= {str(repository), str(folder)}
    return sorted(roots | {str(target.cwd.absolute())})


def _environment(request: RunRequest, scratch: Path | None) -> dict[str, str]:
    """The environment of a run; without ``scratch`` but for what belongs to the one run."""
    environment = {
        name: value
        for name, value in (sandbox.scrubbed(os.environ) if request.sandbox else os.environ).items()
        # The first would leave boot without its folder, the second is set by the child itself.
        if name not in ("PYTHONSAFEPATH", "PYRO_FIX_INSIDE")
    }
    environment.update(
        PYTHONHASHSEED="0",
        PYTHONUNBUFFERED="1",
        MPLBACKEND="Agg",
        WANDB_MODE="disabled",
        # Forked replicas and equal timings need one thread on both sides.
        OMP_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        NUMEXPR_NUM_THREADS="1",
        # Asking CUDA itself whether it is there would make a later fork unsafe.
        PYTORCH_NVML_BASED_CUDA_CHECK="1",
    )
    if request.sandbox:  # the user's own settings of git are withheld, without which git gives up
        environment["GIT_CONFIG_GLOBAL"] = os.devnull
    if request.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    if scratch is not None:
        path = environment.get("PYTHONPATH")
        environment.update(
            PYTHONPATH=os.pathsep.join([str(scratch / "site"), *([path] if path else [])]),
            PYRO_FIX_SPEC=str(scratch / "spec.json"),
            TMPDIR=str(scratch / "tmp"),
        )
    return environment
