"""Runs programs, each one at most once: in this verification by memory, beyond it by the cache."""

from __future__ import annotations

import dataclasses
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from pyro_fix.observation import Failure, Observation
from pyro_fix.runner import folders, home, journals, read
from pyro_fix.runner.identity import changed_since, digest, engine_hash, file_clock, interpreter_hash
from pyro_fix.runner.model import Referee, RunRequest, Target
from pyro_fix.verify.cache import FORMAT, Cache
from pyro_fix.verify.options import VerifyOptions
from pyro_fix.verify.reach import mentioned, noticed
from pyro_fix.watch import Progress, RunBegan, RunEnded, RunWrites

Run = Callable[[RunRequest], Observation]


_OFTEN_ENOUGH = Referee({})


class Cancelled(Exception):
    """The verification was given up."""


class Lab:
    """Turns requests into observations; may be used from several threads."""

    def __init__(self, options: VerifyOptions, run: Run, stop: Callable[[], None], progress: Progress) -> None:
        """``run`` starts one child and waits for it, ``stop`` ends all children; ``progress`` hears of each."""
        self._options = options
        self._run = run
        self._stop = stop
        self._progress = progress
        self._cache = Cache(options.cache) if options.cache is not None else None
        self._slots = threading.Semaphore(max(options.jobs, 1))
        self._lock = threading.Lock()
        self._known: dict[str, Future[Observation]] = {}
        self._states: dict[str, Path] = {}
        self._folder: Path | None = None
        self._cancelled = False
        self.runs = 0
        """Children that were started."""
        self.reaching: dict[Target, str] = {}
        """Programs that reach into the recorder: nothing that is seen of them counts."""

    def __enter__(self) -> Lab:
        """Runs may be made from here on."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the parameters that runs have saved."""
        if self._folder is not None:
            folders.remove(self._folder)

    def cancel(self) -> None:
        """End the children that run and start no further one."""
        self._cancelled = True
        self._stop()

    def observe(self, request: RunRequest, what: str, *, save: bool = False) -> Observation:
        """What the run shows; with ``save``, :meth:`states` has its parameters afterwards (if it had to be run)."""
        return self._observe(request, _key(request), what, save)

    def referee(
        self,
        request: RunRequest,
        states: Mapping[str, tuple[RunRequest, int]],
        what: str,
        how: Referee = _OFTEN_ENOUGH,
    ) -> Observation:
        """Have the program of ``request`` evaluate where other runs, label -> run and its seed, began and ended."""
        judged = {label: [_key(run), seed] for label, (run, seed) in states.items()}
        key = digest([_key(request), "referee", judged, how.evaluations, list(how.moments), how.way, how.draws])
        stored = self._stored(key)
        if stored is not None:
            return self._minded(request, stored)
        folders = {label: self.states(run, what) / str(seed) for label, (run, seed) in states.items()}
        return self._observe(replace(request, referee=replace(how, states=folders)), key, what, False)

    def states(self, request: RunRequest, what: str) -> Path:
        """The folder with the parameters of a run; runs it again where only its observation is known."""
        key = _key(request)
        if key not in self._states:
            self._perform(request, key, what, True)
        return self._states[key]

    def _stored(self, key: str) -> Observation | None:
        with self._lock:
            future = self._known.get(key)
        if future is not None:
            return future.result()
        return self._cache.get(key) if self._cache is not None else None

    def _observe(self, request: RunRequest, key: str, what: str, save: bool) -> Observation:
        with self._lock:
            future = self._known.get(key)
            mine = future is None
            if future is None:
                future = self._known[key] = Future()
        if mine:
            try:
                stored = self._cache.get(key) if self._cache is not None else None
                future.set_result(stored if stored is not None else self._perform(request, key, what, save))
            except BaseException as error:
                future.set_exception(error)
                raise
            if request.marks:
                self._unmarked(request, key, future)
        return self._minded(request, future.result())

    def _minded(self, request: RunRequest, observation: Observation) -> Observation:
        """The observation, its program being remembered if it reaches into the recorder."""
        if request.target not in self.reaching:
            words = noticed(observation) or mentioned(request.target, observation, request.overlay)
            if words:
                self.reaching[request.target] = words
        return observation

    def _unmarked(self, request: RunRequest, key: str, future: Future[Observation]) -> None:
        """What a program with fixes has shown is what the next round would see of it as it is: marks only count."""
        plain = _key(replace(request, marks={}))
        with self._lock:
            self._known.setdefault(plain, future)
            if key in self._states:
                self._states.setdefault(plain, self._states[key])

    def _perform(self, request: RunRequest, key: str, what: str, save: bool) -> Observation:
        with self._slots:
            if self._cancelled:
                raise Cancelled
            try:
                folder = self._new_folder() if save else None
            except OSError as error:
                if not folders.says_full(error):
                    raise
                return read.broken(request, Failure("killed", folders.no_space()))
            with self._lock:
                self.runs += 1
                number = self.runs
            self._progress(RunBegan(number, what, _steps(request)))
            began = file_clock()
            try:
                with journals.followed(lambda journal: self._progress(RunWrites(number, journal))):
                    observation = self._run(replace(request, save_states=folder))
            finally:
                self._progress(RunEnded(number))
        if folder is not None:
            self._states[key] = folder
        if self._cache is not None and _repeatable(observation):
            files = {request.target.cwd / name for name in observation.loaded} - request.overlay.keys()
            # What it read is gone where the program itself, or somebody at an editor, has written there meanwhile.
            if not any(changed_since(path, began) for path in files):
                self._cache.put(key, observation, sorted(files))
        return observation

    def _new_folder(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="states-", dir=home.runs()))
            return Path(tempfile.mkdtemp(dir=self._folder))


def _steps(request: RunRequest) -> int:
    """How many SVI steps the run will make, as far as the source tells; a referee makes none worth counting."""
    return 0 if request.referee is not None else request.steps * len(request.seeds) * max(request.expect_svis, 1)


def _repeatable(observation: Observation) -> bool:
    """Whether a run says something of the program alone, not of a busy machine or of something that is missing."""
    return observation.failure is None and all(
        trajectory.finished for svi in observation.svis for trajectory in svi.trajectories
    )


def _key(request: RunRequest) -> str:
    """Everything that decides what a run shows.  The time limit does not: a run that met it is not stored."""
    target = request.target
    return digest(
        [
            FORMAT,
            engine_hash(),
            interpreter_hash(request.python),
            [target.kind, target.name, list(target.args), str(target.cwd), list(target.flags)],
            list(map(str, target.path)),
            [request.steps, request.to_the_end, list(request.seeds), request.device],
            [request.expect_svis, request.any_version, request.stand_ins],
            None if request.deep is None else [request.deep.seeds, request.deep.slices, request.deep.facts],
            None if request.sandbox is None else [str(value) for value in dataclasses.astuple(request.sandbox)],
            sorted((str(path), digest(data.hex())) for path, data in request.overlay.items()),
            sorted((str(path), list(lines)) for path, lines in request.marks.items()),
        ]
    )
