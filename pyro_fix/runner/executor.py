"""Where runs are made: by this process on its own machine, or over a cluster (``dask_executor``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyro_fix.observation import Observation
from pyro_fix.runner import devices, process
from pyro_fix.runner.model import RunRequest, Sandbox

#: The address of the one that needs nothing.
LOCAL = "local"


class ExecutorError(Exception):
    """Runs cannot be made where the user wants them; the message is one line for the user."""


@dataclass(frozen=True)
class Ready:
    """What an executor offers."""

    slots: int | None = None
    """Runs that it can make side by side; None: that is a matter of this machine's cores."""
    notices: tuple[str, ...] = ()
    """What the user should know before programs are run there."""


class Executor(Protocol):
    """Makes runs; may be used from several threads."""

    def ready(self, python: Path, device: str, sandbox: Sandbox | None) -> Ready:
        """Make sure that runs can be made so, before the first one is; raises one line for the user where not."""

    def run(self, request: RunRequest) -> Observation:
        """Make a run, and wait for its end."""

    def stop(self) -> None:
        """End all runs, and make no further one."""

    def close(self) -> None:
        """Let go of what was taken."""


class Local:
    """Runs programs as children of this process."""

    def ready(self, python: Path, device: str, sandbox: Sandbox | None) -> Ready:
        """Make sure that the interpreter has the device."""
        devices.check(python, device, sandbox)
        return Ready()

    def run(self, request: RunRequest) -> Observation:
        """Run a child."""
        return process.run(request)

    def stop(self) -> None:
        """End all children."""
        process.stop_all()

    def close(self) -> None:
        """There is nothing to let go of."""


def connect(address: str) -> Executor:
    """The executor of that address: ``local``, ``dask://HOST:PORT``, ``dask+tls://HOST:PORT``."""
    if address == LOCAL:
        return Local()
    from pyro_fix.runner.dask_executor import Dask

    return Dask(address)
