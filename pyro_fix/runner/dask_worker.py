"""What a worker of a Dask cluster does for us: it runs the program as a child of its own, like ``process`` does here.

Nothing of the user's ever runs in the worker itself.  Project and interpreter lie at the same paths there; what a run
has to be given beyond them, and what it leaves, travels as bytes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyro_fix import __version__
from pyro_fix.observation import Failure, Observation
from pyro_fix.runner import devices, home, interpreter, parcels, process, read, sandbox
from pyro_fix.runner.identity import engine_hash, file_hash, interpreter_hash
from pyro_fix.runner.model import RunRequest, Sandbox


@dataclass(frozen=True)
class Identity:
    """What has to be the same on both sides for a run to be the run that was asked for."""

    ours: str
    """The version of Python that moves the data, and of pyro-fix, with its code."""
    theirs: str
    """The project's interpreter, and what is installed for it."""


@dataclass(frozen=True)
class Job:
    """A run, with what it needs beyond the project's files."""

    request: RunRequest
    """Its folders of parameters are names of ``states`` alone."""
    save: bool
    states: Mapping[str, Mapping[str, bytes]]
    """Label of the referee -> the files that it judges."""
    files: Mapping[str, str]
    """Files that will be run, and their hashes."""
    identity: Identity


@dataclass(frozen=True)
class Answer:
    """What came of a job."""

    worker: str
    problem: str = ""
    """Why it was not run: the worker has something else than we have."""
    observation: Observation | None = None
    states: Mapping[str, bytes] | None = None
    files: Mapping[str, str] | None = None
    """Files of the project that the run read, and their hashes."""


def identity(python: Path) -> Identity:
    """Of this machine."""
    ours = f"Python {sys.version_info[0]}.{sys.version_info[1]}, pyro-fix {__version__} ({engine_hash()[:8]})"
    return Identity(ours, interpreter_hash(python))


def differs(mine: Identity, theirs: Identity, python: Path) -> str:
    """Why a worker cannot stand for this machine; empty when it can."""
    if mine.ours != theirs.ours:
        return f"has {theirs.ours}, and this machine {mine.ours}"
    if mine.theirs != theirs.theirs:
        return f"has something else at {python}, or other packages for it, or another PYTHONPATH, than this machine"
    return ""


@dataclass(frozen=True)
class Description:
    """What a worker says of itself."""

    identity: Identity
    problem: str
    """Why its interpreter will not do."""
    unguarded: tuple[str, ...]
    """What it cannot keep a program from."""


async def describe(python: Path, device: str, allowed: Sandbox | None) -> Description:
    """Of this worker; without holding up its event loop."""
    return await asyncio.to_thread(_describe, python, device, allowed)


def _describe(python: Path, device: str, allowed: Sandbox | None) -> Description:
    found = interpreter.check(python, allowed)
    problem = found.message if isinstance(found, Failure) else ""
    if not problem:
        try:
            devices.check(python, device, allowed)
        except devices.DeviceError as error:
            problem = str(error)
    return Description(identity(python), problem, tuple(sandbox.missing()))


def perform(job: Job, key: str) -> Answer:
    """Make a run; ``key`` is the task's, by which we know whether anybody still wants it."""
    from distributed import get_worker

    worker: Any = get_worker()
    here = str(worker.address)
    request = job.request
    problem = differs(job.identity, identity(request.python), request.python) or _elsewhere(job)
    if problem:
        return Answer(here, problem)
    with home.run("job-") as folder:
        saved = folder / "saved"
        if job.save:
            saved.mkdir()
            request = replace(request, save_states=saved)
        if request.referee is not None:
            states = {label: folder / f"state{number}" for number, label in enumerate(job.states)}
            for label, place in states.items():
                parcels.unpack(job.states[label], place)
            request = replace(request, referee=replace(request.referee, states=states))
        seen = process.run(request, given_up=lambda: _cancelled(worker, key))
        try:
            left = parcels.pack(saved) if job.save else None
        except parcels.ParcelError as error:
            return Answer(here, observation=read.broken(request, Failure("killed", str(error))))
    files = {request.target.cwd / name for name in seen.loaded} - request.overlay.keys()
    return Answer(here, "", seen, left, {str(path): file_hash(path) for path in files})


def _elsewhere(job: Job) -> str:
    """Why the project does not lie here as it lies where the job comes from."""
    cwd = job.request.target.cwd
    if not cwd.is_dir():
        return f"has no folder {cwd}: the project has to lie at the same path"
    other = next((path for path, known in job.files.items() if file_hash(Path(path)) != known), None)
    return f"has another {other} than this machine, or none" if other is not None else ""


def _cancelled(worker: Any, key: str) -> bool:
    """Whether nobody waits for the task any more: it was cancelled, or whoever asked for it is gone."""
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled"
