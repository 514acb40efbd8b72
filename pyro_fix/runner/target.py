"""Turn a command that a person would type into a :class:`~pyro_fix.runner.model.Target`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from pyro_fix import sources
from pyro_fix.runner.model import GIVEN, Target
from pyro_fix.sources import NOTEBOOK

_PYTHON = re.compile(r"python(\d+(\.\d+)?)?(\.exe)?")
_PYTEST = frozenset({"pytest", "py.test"})
#: Options of the interpreter that leave ``PYTHONPATH`` and ``site`` in force, which the probe needs.
_PLAIN = frozenset({"-u", "-B", "-O", "-OO", "-b", "-bb", "-d", "-q", "-s", "-v"})
_WITH_VALUE = ("-W", "-X")
_ACCEPTED = "python [options] FILE.py [args], FILE.py [args], NOTEBOOK.ipynb, python -m MODULE [args] or pytest [args]"


def parse(command: str, cwd: Path) -> Target:
    """Read a command; raises :class:`ValueError` with one clear line for what cannot be run."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"--run {command!r}: {error}") from error
    if not words:
        raise ValueError(f"--run needs a command: {_ACCEPTED}")
    cwd = cwd.absolute()
    if not cwd.is_dir():
        raise ValueError(f"--run {command!r}: {cwd} is no folder")
    if words[:2] == ["jupyter", "execute"] and len(words) == 3:
        words = words[2:]
    first, rest = words[0], words[1:]
    if Path(first).name in _PYTEST:
        return _pytest(command, rest, (), cwd)
    if not _PYTHON.fullmatch(Path(first).name):
        if first.endswith((".py", NOTEBOOK)):
            return _script(command, first, rest, (), cwd)
        raise ValueError(f"--run {command!r}: not understood; use {_ACCEPTED}")
    flags: list[str] = []
    while rest and rest[0].startswith("-"):
        option, *rest = rest
        module = option[2:] if option.startswith("-m") else None
        if module is not None:
            if not module:
                if not rest:
                    raise ValueError(f"--run {command!r}: -m needs a module's name")
                module, *rest = rest
            if module == "pytest":
                return _pytest(command, rest, tuple(flags), cwd)
            if not all(part.isidentifier() for part in module.split(".")):
                raise ValueError(f"--run {command!r}: {module!r} is no module's name")
            return Target("module", module, tuple(rest), cwd, GIVEN, tuple(flags))
        if option in _WITH_VALUE and rest:
            value, *rest = rest
            flags += [option, value]
        elif option in _PLAIN or (option.startswith(_WITH_VALUE) and len(option) > 2):
            flags.append(option)
        else:
            raise ValueError(f"--run {command!r}: python's option {option} cannot be used here; use {_ACCEPTED}")
    if not rest:
        raise ValueError(f"--run {command!r}: names no program; use {_ACCEPTED}")
    return _script(command, rest[0], rest[1:], tuple(flags), cwd)


def _pytest(command: str, args: list[str], flags: tuple[str, ...], cwd: Path) -> Target:
    for word in args:
        file = word.partition("::")[0]
        if file.endswith(".py") and not word.startswith("-") and not (cwd / file).is_file():
            raise ValueError(f"--run {command!r}: there is no file {file} in {cwd}")
    return Target("pytest", "", tuple(args), cwd, GIVEN, flags)


def _script(command: str, name: str, args: list[str], flags: tuple[str, ...], cwd: Path) -> Target:
    path = cwd / name
    if not path.is_file():
        raise ValueError(f"--run {command!r}: there is no file {name} in {cwd}")
    if path.suffix == NOTEBOOK:
        return _notebook(command, path, args, flags)
    if path.suffix != ".py":
        raise ValueError(f"--run {command!r}: {name} is no Python file")
    return Target("script", name, tuple(args), cwd, GIVEN, flags)


def _notebook(command: str, path: Path, args: list[str], flags: tuple[str, ...]) -> Target:
    """Notebooks run in their own folder, wherever they are started from."""
    if args:
        raise ValueError(f"--run {command!r}: a notebook takes no arguments")
    try:
        sources.read(path)
    except sources.SourceError as error:
        raise ValueError(f"--run {command!r}: {error}") from error
    return Target("script", path.name, (), path.parent, GIVEN, flags)
