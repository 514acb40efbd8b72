"""Find the project's Python, and see whether torch and Pyro are there."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyro_fix.observation import Failure
from pyro_fix.probe.sandbox import NOT_KEPT
from pyro_fix.runner import folders, locked
from pyro_fix.runner.model import Sandbox

#: The sandbox that there is unless the user says otherwise.
_LOCKED = Sandbox()
_BIN = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")


class _FullError(Exception):
    """There is no space left to ask an interpreter."""


class InterpreterError(Exception):
    """There is no usable interpreter where one was asked for; the message is one line for the user."""


def find(python: Path | None, project: Path, environ: Mapping[str, str] = os.environ, *, trusted: bool = False) -> Path:
    """Choose whose Pyro to run: ``--python``, else the active environment, else the project's ``.venv``, else ours.

    A ``.venv`` that merely lies there may be anybody's: it has to be ``trusted``.
    Raises :class:`InterpreterError` where ``python`` is given and cannot be used.
    """
    if python is not None:
        path = python.expanduser()
        if path.is_dir():  # an environment's folder
            path = path.joinpath(*_BIN)
        if not path.is_file():
            raise InterpreterError(f"--python {python}: there is no such file")
        if not os.access(path, os.X_OK):
            raise InterpreterError(f"--python {python}: is not executable")
        return path.absolute()  # not resolved: a virtual environment's python is a link
    active = _active(environ)
    if active is None and trusted:
        active = _inside(project / ".venv")
    return active or Path(sys.executable)


def lying_about(project: Path, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The project's own interpreter, where it would be chosen if it were trusted."""
    return _inside(project / ".venv") if _active(environ) is None else None


def _active(environ: Mapping[str, str]) -> Path | None:
    """The interpreter of the environment that the user has activated."""
    folders = [Path(environ[name]) for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if environ.get(name)]
    return next(filter(None, map(_inside, folders)), None)


def _inside(environment: Path) -> Path | None:
    path = environment.joinpath(*_BIN)
    return path.absolute() if path.is_file() and os.access(path, os.X_OK) else None


@dataclass(frozen=True)
class Interpreter:
    """What an interpreter says of itself."""

    version: str
    torch: str
    """Empty where it is not installed."""
    pyro: str


_ASK = """
import json, sys
from importlib.util import find_spec
try:
    from importlib.metadata import version
except ImportError:
    version = None
def of(module, package):
    if find_spec(module) is None:
        return ""
    try:
        return version(package)
    except Exception:
        return "unknown"
print(json.dumps([".".join(map(str, sys.version_info[:3])), of("torch", "torch"), of("pyro", "pyro-ppl")]))
"""


#: Whatever an interpreter says, it is shown to people and read by nobody else.
_VERSION = re.compile(r"[\w.+!-]{0,60}")


def check(python: Path, sandbox: Sandbox | None = _LOCKED) -> Interpreter | Failure:
    """Ask ``python`` for its versions, without importing torch (0.1 s); a :class:`Failure` where they will not do.

    It is asked inside the ``sandbox``.
    """
    try:
        changed = python.stat().st_mtime_ns
    except OSError as error:
        return Failure("no-pyro", f"{python} cannot be run: {error.strerror}")
    try:
        return _check(python, changed, sandbox)
    except _FullError:  # there may be space at another time
        return Failure("killed", folders.no_space())


@functools.lru_cache(maxsize=64)
def _check(python: Path, changed: int, sandbox: Sandbox | None) -> Interpreter | Failure:
    try:
        answer = locked.ask(python, _ASK, allowed=sandbox, seconds=60)
        if not (isinstance(answer, list) and len(answer) == 3 and all(map(_is_version, answer))):
            raise locked.NoAnswer(f"it says {answer!r:.100}")
        found = Interpreter(*answer)
        number = tuple(int(part) for part in found.version.split(".")[:2])
    except (OSError, ValueError, locked.NoAnswer) as error:
        if isinstance(error, OSError) and folders.says_full(error):
            raise _FullError from error
        if str(error).startswith(NOT_KEPT):
            return Failure("sandbox", str(error))
        return Failure("no-pyro", f"{python} is no Python that can be run: {error}")
    missing = [name for name, version in (("torch", found.torch), ("pyro-ppl", found.pyro)) if not version]
    if missing:
        return Failure(
            "no-pyro",
            f"{python} has no {' and no '.join(missing)}: pip install 'pyro-fix[verify]' there, or name the project's"
            " Python with --python",
        )
    if number < (3, 8):
        return Failure("no-pyro", f"{python} is Python {found.version}; 3.8 is the oldest that can be verified with")
    return found


def _is_version(value: object) -> bool:
    return isinstance(value, str) and _VERSION.fullmatch(value) is not None
