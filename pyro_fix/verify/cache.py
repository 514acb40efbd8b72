"""Observations kept by content: what was run once, on the same bytes, is not run again.

An entry's name is a hash of everything that a run is asked for; the entry itself lists the project's files that the
program read, and counts only while every one of them still has the bytes that it had.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
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


def default_folder() -> Path:
    """The user's cache folder of this platform; the project's tree stays clean."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "pyro-fix"


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
            entry = json.loads(path.read_text("utf-8"))
            observation = decode(Observation, entry["observation"])
            files: Mapping[str, str] = entry["files"]
            if any(file_hash(Path(name)) != digest for name, digest in files.items()):
                return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
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
            entries.sort(key=lambda path: path.stat().st_mtime)
            for path in entries[: len(entries) - self._limit]:
                path.unlink(missing_ok=True)


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
