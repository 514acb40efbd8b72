"""Spreads runs over an existing Dask cluster: a run is one task, which a worker makes as a child (``dask_worker``).

A task whose worker dies is given to another one by the scheduler; whatever it did there is forgotten, and its result is
taken once.  Dask is imported when it is asked for, and not before.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyro_fix.observation import Failure, Observation
from pyro_fix.runner import dask_worker, parcels, read
from pyro_fix.runner.dask_worker import Answer, Description, Identity, Job
from pyro_fix.runner.devices import ANYWHERE
from pyro_fix.runner.executor import ExecutorError, Ready
from pyro_fix.runner.identity import file_hash
from pyro_fix.runner.model import RunRequest, Sandbox
from pyro_fix.runner.sandbox import notice

#: Seconds to look for the scheduler.
CONNECT = 10
#: Seconds that the cluster may be without a worker: one that has died may be started again.
PATIENCE = 60.0
#: Seconds after which we look whether there still is a cluster.
_POLL = 2.0
#: Seconds to fetch a result: the parameters of a large model take their time.
_FETCH = 120.0
#: The resource that a worker offers for each of its graphics cards.
GPU = "GPU"


class Dask:
    """Makes runs on the workers of a cluster that somebody else has started."""

    def __init__(self, address: str) -> None:
        """Connect to the scheduler of ``dask://HOST:PORT``; :class:`ExecutorError` where that is not possible."""
        try:
            import distributed
        except ImportError:
            raise ExecutorError(f"--executor {address}: needs Dask: pip install 'pyro-fix[dask]'") from None
        for name in ("distributed", "distributed.client"):  # what matters of it we say ourselves
            logging.getLogger(name).setLevel(logging.CRITICAL)
        warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
        self._distributed: Any = distributed
        self._address = address
        self._session = uuid.uuid4().hex[:12]
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._futures: set[Any] = set()
        self._stopped = False
        self._without_workers: float | None = None
        self._identities: dict[Path, Identity] = {}
        kind, _, place = address.partition("://")
        try:
            # Certificates come from Dask's own settings.
            self._client: Any = self._distributed.Client(
                f"{'tls' if kind == 'dask+tls' else 'tcp'}://{place}", timeout=CONNECT, set_as_default=False
            )
        except (OSError, ValueError, TypeError, RuntimeError, distributed.TimeoutError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise self._error(f"there is no scheduler that answers: {reason}") from error

    def ready(self, python: Path, device: str, sandbox: Sandbox | None) -> Ready:
        """Ask every worker that may get a run whether it has what we have; counts what they can do side by side."""
        resources = _resources(device)
        workers = self._workers(resources)
        if not workers:
            asked = f" that offers {GPU} (dask worker --resources '{GPU}=1')" if resources else ""
            raise self._error(f"the cluster has no worker{asked}")
        mine = dask_worker.identity(python)
        lacking: dict[str, None] = {}
        told: Mapping[str, Description | BaseException] = self._client.run(
            dask_worker.describe, python, device, sandbox, workers=list(workers), on_error="return"
        )
        for worker, said in told.items():
            if isinstance(said, BaseException):
                raise self._error(f"worker {worker} has no pyro-fix that could be asked: {' '.join(str(said).split())}")
            problem = dask_worker.differs(mine, said.identity, python) or said.problem
            if problem:
                raise self._error(
                    f"worker {worker} {problem}" if problem.startswith("has ") else f"{worker}: {problem}"
                )
            lacking |= dict.fromkeys(said.unguarded)
        if lacking and sandbox is not None and sandbox.required:
            raise self._error(f"--require-sandbox: a worker cannot keep a program from {', '.join(lacking)}")
        words = notice(list(lacking)).replace("this machine", "a worker") if sandbox is not None else ""
        return Ready(sum(workers.values()), (words,) if words else ())

    def run(self, request: RunRequest) -> Observation:
        """Have a worker make a run; :class:`ExecutorError` where the cluster is gone, or is not what it should be."""
        try:
            job = self._job(request)
        except parcels.ParcelError as error:
            return read.broken(request, Failure("killed", str(error)))
        key = f"pyro-fix-{self._session}-{next(self._numbers)}"
        with self._lock:
            if self._stopped:
                return _killed(request, "was stopped")
            future = self._client.submit(
                dask_worker.perform, job, key, key=key, pure=False, resources=_resources(request.device) or None
            )
            self._futures.add(future)
        try:
            answer = self._result(future, request)
        finally:
            with self._lock:
                self._futures.discard(future)
        if isinstance(answer, Observation):
            return answer
        if answer.problem or answer.observation is None:
            raise self._error(f"worker {answer.worker} {answer.problem}")
        for name, there in (answer.files or {}).items():
            if file_hash(Path(name)) != there:
                raise self._error(f"worker {answer.worker} has another {name} than this machine")
        if request.save_states is not None:
            parcels.unpack(answer.states or {}, request.save_states)
        return answer.observation

    def stop(self) -> None:
        """Cancel everything; workers kill the programs that they run for it."""
        with self._lock:
            self._stopped = True
            futures = list(self._futures)
        if futures:
            self._client.cancel(futures, force=True)

    def close(self) -> None:
        """Leave the cluster, which then forgets us."""
        self._client.close(timeout=CONNECT)

    def _job(self, request: RunRequest) -> Job:
        states = {}
        if request.referee is not None:
            states = {label: parcels.pack(folder) for label, folder in request.referee.states.items()}
        target = request.target
        script = target.cwd / target.name
        known = target.kind != "script" or script in request.overlay
        if request.python not in self._identities:
            self._identities[request.python] = dask_worker.identity(request.python)
        return Job(
            replace(request, save_states=None),
            request.save_states is not None,
            states,
            {} if known else {str(script): file_hash(script)},
            self._identities[request.python],
        )

    def _result(self, future: Any, request: RunRequest) -> Answer | Observation:
        errors = self._distributed
        while True:
            try:
                future.exception(timeout=_POLL)
                if future.status == "finished":
                    answer: Answer = future.result(timeout=_FETCH)
                    return answer
            except errors.TimeoutError:
                self._mind_the_cluster(_resources(request.device))
            except errors.CancelledError:
                pass
            if self._stopped:
                return _killed(request, "was stopped")
            if future.status == "error":
                error = future.exception()
                if isinstance(error, errors.scheduler.KilledWorker):
                    # Dask has tried others, as often as its setting distributed.scheduler.allowed-failures allows.
                    return _killed(request, f"{error.allowed_failures + 1} Dask workers died while they ran it")
                raise self._error(f"a worker failed: {type(error).__name__}: {' '.join(str(error).split())}")
            if future.status == "cancelled":
                raise self._error("the connection to the scheduler was lost")
            # Else it goes on, perhaps once more: a result is lost with its worker until we have it.

    def _mind_the_cluster(self, resources: Mapping[str, int]) -> None:
        """Raise where nobody is left who could make a run."""
        if self._stopped:
            return
        now = time.monotonic()
        if self._client.status not in ("running", "connecting"):
            raise self._error("the connection to the scheduler was lost")
        try:
            workers = self._workers(resources)
        except (OSError, self._distributed.TimeoutError):  # it may come back: the client tries
            workers = {}
        with self._lock:
            if workers:
                self._without_workers = None
                return
            self._without_workers = self._without_workers or now
            waited = now - self._without_workers
        if waited > PATIENCE:
            raise self._error(f"the cluster has had no worker for {PATIENCE:.0f} s")

    def _workers(self, resources: Mapping[str, int]) -> dict[str, int]:
        """Workers that can be given runs -> how many at a time."""
        found = {}
        for address, worker in self._client.scheduler_info(n_workers=-1)["workers"].items():
            slots = int(worker["resources"].get(GPU, 0)) if resources else worker["nthreads"]
            if slots:
                found[address] = min(slots, worker["nthreads"])
        return found

    def _error(self, words: str) -> ExecutorError:
        return ExecutorError(f"--executor {self._address}: {words}")


def _resources(device: str) -> dict[str, int]:
    """What a run takes of a worker's resources: a graphics card where the user asks for one."""
    return {} if device in ANYWHERE else {GPU: 1}


def _killed(request: RunRequest, why: str) -> Observation:
    return read.broken(request, Failure("killed", why))
