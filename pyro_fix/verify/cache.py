"""Observations kept by content: what was run once, on the same bytes, is not run again.

An entry's name is a hash of everything that a run is asked for; the entry itself lists the project's files that the
program read, and counts only while every one of them still has the bytes that it had.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import stat
import sys
import tempfile
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pyro_fix.observation import Observation
from pyro_fix.runner.identity import file_hash

#: Part of every key: raise it when the meaning of an entry changes.
FORMAT = 2
#: Entries that are kept; the ones used least recently go first.
LIMIT = 500
#: Bytes of an entry; more than that we have not written.
LONGEST = 1 << 26


def default_folder() -> Path | None:
    """The user's cache folder of this platform, so that the project's tree stays clean; None where there is no home."""
    variable = {"win32": "LOCALAPPDATA", "darwin": ""}.get(sys.platform, "XDG_CACHE_HOME")
    given = Path(os.environ.get(variable, ""))
    if given.is_absolute():  # one that is not would lie in whatever folder we happen to be
        return given / "pyro-fix"
    below = {"win32": "AppData/Local", "darwin": "Library/Caches"}.get(sys.platform, ".cache")
    try:
        return Path.home() / below / "pyro-fix"
    except RuntimeError:
        return None


class Cache:
    """A folder of observations.  Nothing that is wrong with it stops a run: it is then just not there."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        """``folder`` is made when the first entry is written."""
        self._folder = folder
        self._limit = limit

    def get(self, key: str) -> Observation | None:
        """The observation stored under ``key``, if the files that it depends on are unchanged."""
        path = self._path(key)
        try:
            entry = json.loads(_read(path))
            observation = decode(Observation, entry["observation"])
            files: Mapping[str, str] = entry["files"]
            if any(file_hash(Path(name)) != digest for name, digest in files.items()):
                return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return typing.cast(Observation, observation)

    def put(self, key: str, observation: Observation, files: Iterable[Path]) -> None:
        """Store an observation together with the state of the files that it depends on."""
        entry = {
            "observation": dataclasses.asdict(observation),
            "files": {str(path): file_hash(path) for path in files},
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(entry, file)
                Path(temporary).replace(self._path(key))
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            self._evict()
        except OSError:
            return

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _evict(self) -> None:
        entries = list(self._folder.glob("*.json"))
        if len(entries) > self._limit:
            entries.sort(key=_age)
            for path in entries[: len(entries) - self._limit]:
                with contextlib.suppress(OSError):  # a folder that somebody has put there
                    path.unlink()


def _age(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> bytes:
    """An entry of ours; raises :class:`OSError` for a pipe, a link, a folder, another user's and what is too long."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_size > LONGEST:
            raise OSError("no entry")
        if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
            raise OSError("not ours")
        return file.read(LONGEST)


def decode(kind: Any, value: Any) -> Any:
    """Rebuild a dataclass of plain data from what :func:`json.loads` gives; raises on anything that does not fit."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return decode(inner, value)
    if origin is tuple:
        if not isinstance(value, list):
            raise TypeError(f"{value!r} is no list")
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(decode(arguments[0], item) for item in value)
        return tuple(decode(argument, item) for argument, item in zip(arguments, value, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {decode(arguments[0], key): decode(arguments[1], item) for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        if not isinstance(value, dict) or value.keys() - hints.keys():
            raise TypeError(f"no {kind}")
        return typing.cast(Any, kind)(**{name: decode(hints[name], item) for name, item in value.items()})
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and not isinstance(value, kind):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
