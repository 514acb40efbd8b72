"""Whether an interpreter's torch can compute where the user wants it to."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

from pyro_fix.probe import devices

#: Choices that every interpreter can meet.
ANYWHERE = ("auto", "cpu")


class DeviceError(Exception):
    """The device is not there; the message is one line for the user."""


def check(python: Path, device: str) -> None:
    """Raise :class:`DeviceError` where ``device`` is not to be had; imports torch in a child, unless any will do."""
    if device not in ANYWHERE:
        lacking = _missing(python, device)
        if lacking:
            raise DeviceError(f"--device {device}: {lacking} ({python})")


@functools.lru_cache(maxsize=64)
def _missing(python: Path, device: str) -> str:
    code = Path(devices.__file__).read_text(encoding="utf-8")
    try:
        answer = subprocess.run(
            [str(python), "-c", code, device],
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
            cwd="/",
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"the interpreter cannot be asked: {error}"
    if answer.returncode:
        return f"torch cannot be asked: {' '.join(answer.stderr.split())[-300:] or answer.returncode}"
    return answer.stdout.strip()
