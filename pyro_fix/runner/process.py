"""Start the user's program in a child process, watch it, and leave nothing of it behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Protocol

from pyro_fix import notebook as notebooks
from pyro_fix import sources
from pyro_fix.observation import Failure, Observation
from pyro_fix.runner import interpreter, journals, read, sandbox, warm
from pyro_fix.runner.model import RunRequest, Target

_PROBE = Path(__file__).resolve().parent.parent / "probe"
_SUPERVISOR = Path(__file__).resolve().with_name("supervise.py")
#: The last part of the time is the child's, to end by itself with everything reported.
_CHILD_SHARE = 0.9
_TAIL = 50
_LONGEST_LINE = 1 << 16
#: Seconds after which it is asked again whether a run is still wanted.
_ASK = 0.25

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

    def close(self) -> None:
        """Let go of it."""


class _Fresh:
    """A supervisor that starts an interpreter."""

    def __init__(self, order: Path) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for us, we pass it on
        )
        assert self._process.stdout is not None
        self.stdout = self._process.stdout

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def hang_up(self) -> None:
        """Close the supervisor's standard input: it ends the program and everything that the program started."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def close(self) -> None:
        """Let go of its output."""
        self.stdout.close()


_running: set[_Started] = set()
_running_lock = threading.Lock()


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
    found = interpreter.check(request.python)
    if isinstance(found, Failure):
        return read.broken(request, found)
    try:
        request = _with_program(request)
    except sources.SourceError as error:
        return read.broken(request, Failure("notebook", str(error)))
    versions = {"python": found.version, "torch": found.torch, "pyro": found.pyro}
    watch = _Watch(started + request.timeout, on_line, given_up)
    with _scratch() as scratch:
        events, end = _child(request, scratch / "first", list(request.seeds), watch)
        names = {event["event"] for event in events}
        # What one process could not fork off gets processes of its own.
        if "alone" in names:
            for seed in request.seeds[1:]:
                if end.why == "":
                    more, end = _child(request, scratch / f"seed{seed}", [seed], watch, only_steps=True)
                    events += more
        if "unlooked" in names and end.why == "":
            more, _ = _child(request, scratch / "look", [request.seeds[0]], watch, inline=True)
            events += [event for event in more if event["event"] in ("look", "facts")]
    try:
        return read.observation(request, events, end, versions, time.monotonic() - started)
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # the program can write into its journal
        return read.broken(request, Failure("journal", f"what the run recorded cannot be read: {error!r}"))


def _with_program(request: RunRequest) -> RunRequest:
    """The request with the program in the overlay that the cells of its notebook are, where it runs one."""
    target = request.target
    if not target.is_notebook:
        return request
    path = Path(os.path.realpath(target.cwd / target.name))
    files = {Path(os.path.realpath(file)): data for file, data in request.overlay.items()}
    notebook = notebooks.from_bytes(path, files[path]) if path in files else notebooks.read(path)
    return replace(request, overlay={**files, path: notebook.runnable})


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pyro-fix-")).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
    spec = _spec(request, scratch, seeds, left, plain=only_steps or inline, inline=inline)
    (scratch / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    (scratch / "site" / "sitecustomize.py").write_text(_SITE.format(boot=str(_PROBE / "boot.py")), encoding="utf-8")
    # Both beside the scratch folder, which the program may write to: it could put a link in a file's place.
    path, status = (scratch.with_name(f"{scratch.name}-{name}.json") for name in ("order", "status"))
    order = {
        "command": [str(request.python), *request.target.flags, str(_PROBE / "boot.py"), "--program"],
        "cwd": str(request.target.cwd),
        "env": _environment(request, scratch),
        "status": str(status),
        "scratch": str(scratch.parent),
        "limits": sandbox.limits(request, scratch),
    }
    path.write_text(json.dumps(order), encoding="utf-8")
    journals.tell(scratch / "journal.jsonl")
    end = End()
    forked = warm.fork(request, _PROBE / "boot.py", path, _environment(request, None))
    if forked is not None:
        end = _attend(forked, status, watch)
    if forked is None or forked.refused:
        end = _attend(_Fresh(path), status, watch)
    found = read.events(scratch / "journal.jsonl")
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
        started.wait()
        reader.join(5)
        with _running_lock:
            _running.discard(started)
        started.close()
    try:
        told = json.loads(status.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        told = {}
    end.status = told.get("status")
    end.tail = list(tail)
    if "error" in told:
        end.why, end.message = "start", told["error"]
    elif told.get("exceeded"):
        end.why, end.message = "limit", told["exceeded"]
    elif end.status is None and not end.why:
        end.why = "killed"
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
    request: RunRequest, scratch: Path, seeds: list[int], left: float, *, plain: bool, inline: bool
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
        }
        if referee
        else None,
        "save_states": str(request.save_states.absolute()) if request.save_states and not inline else None,
        "expect_svis": max(1, request.expect_svis),
        "timeout": left,
        "deadline": time.time() + left * _CHILD_SHARE,
        "device": request.device,
        "any_version": request.any_version,
        "sandbox": sandbox.policy(request, scratch, _roots(target)),
    }


def _roots(target: Target) -> list[str]:
    """The project's folders: those of the program, or the repositories that they belong to."""
    folders = {Path(os.path.realpath(target.cwd))}
    if target.kind == "script":
        folders.add(Path(os.path.realpath(target.cwd / target.name)).parent)
    roots = set()
    for folder in folders:
        repository = next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), folder)
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
