"""Find the project's Python, and see whether torch and Pyro are there."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyro_fix.observation import Failure

_BIN = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")


class InterpreterError(Exception):
    """There is no usable interpreter where one was asked for; the message is one line for the user."""


def find(python: Path | None, project: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Choose whose Pyro to run: ``--python``, else the active environment, else the project's ``.venv``, else ours.

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
    for folder in (environ.get("VIRTUAL_ENV"), environ.get("CONDA_PREFIX"), str(project / ".venv")):
        if folder:
            path = Path(folder).joinpath(*_BIN)
            if path.is_file() and os.access(path, os.X_OK):
                return path.absolute()
    return Path(sys.executable)


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


def check(python: Path) -> Interpreter | Failure:
    """Ask ``python`` for its versions, without importing torch (0.1 s); a :class:`Failure` where they will not do."""
    try:
        changed = python.stat().st_mtime_ns
    except OSError as error:
        return Failure("no-pyro", f"{python} cannot be run: {error.strerror}")
    return _check(python, changed)


@functools.lru_cache(maxsize=64)
def _check(python: Path, changed: int) -> Interpreter | Failure:
    try:
        answer = subprocess.run(
            [str(python), "-c", _ASK],
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=True,
            cwd="/",
        )
        found = Interpreter(*json.loads(answer.stdout.strip().splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, IndexError, TypeError) as error:
        return Failure("no-pyro", f"{python} is no Python that can be run: {error}")
    missing = [name for name, version in (("torch", found.torch), ("pyro-ppl", found.pyro)) if not version]
    if missing:
        return Failure(
            "no-pyro",
            f"{python} has no {' and no '.join(missing)}: pip install 'pyro-fix[verify]' there, or name the project's"
            " Python with --python",
        )
    if tuple(int(part) for part in found.version.split(".")[:2]) < (3, 8):
        return Failure("no-pyro", f"{python} is Python {found.version}; 3.8 is the oldest that can be verified with")
    return found
