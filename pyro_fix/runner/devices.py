"""Whether an interpreter's torch can compute where the user wants it to."""

from __future__ import annotations

import functools
from pathlib import Path

from pyro_fix.probe import devices
from pyro_fix.runner import locked
from pyro_fix.runner.model import Sandbox

#: Choices that every interpreter can meet.
ANYWHERE = ("auto", "cpu")
#: The sandbox that there is unless the user says otherwise.
_LOCKED = Sandbox()


class DeviceError(Exception):
    """The device is not there; the message is one line for the user."""


def check(python: Path, device: str, sandbox: Sandbox | None = _LOCKED) -> None:
    """Raise :class:`DeviceError` where ``device`` is not to be had; imports torch in a child, unless any will do.

    That child runs inside the ``sandbox``.
    """
    if device not in ANYWHERE:
        lacking = _missing(python, device, sandbox)
        if lacking:
            raise DeviceError(f"--device {device}: {lacking} ({python})")


@functools.lru_cache(maxsize=64)
def _missing(python: Path, device: str, sandbox: Sandbox | None) -> str:
    code = Path(devices.__file__).read_text(encoding="utf-8")
    try:
        answer = locked.ask(python, code, device, allowed=sandbox, seconds=300)
    except (OSError, locked.NoAnswer) as error:
        return f"the interpreter cannot be asked: {error}"
    return answer if isinstance(answer, str) else "the interpreter cannot be asked"
