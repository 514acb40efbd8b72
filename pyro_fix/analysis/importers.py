"""Files of a project that import the ones that were named: what is found must not depend on which were."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyro_fix import sources

#: What tells where a project begins; a file in none has its own folder alone.
_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")
#: How far up is looked for such a mark, and among how many files for importers.
MOST_LEVELS, MOST_FILES = 6, 2000
#: With so many files named, the project is.
MOST_NAMED = 20
_IMPORT = re.compile(rb"^[ \t]*(?:from|import)[ \t]+[^\n#]*(?:\([^)]*\))?", re.MULTILINE)
_WORD = re.compile(rb"\w+")


def importing(named: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """The files, with their bytes, whose import statements mention one of the named files, directly or not."""
    known = set(named)
    if not known or len(known) > MOST_NAMED:
        return
    ahead = [(path, data, frozenset(_imported(data))) for path, data in _around(known) if path not in known]
    wanted = set(map(_name, known))
    while found := [entry for entry in ahead if wanted & entry[2]]:
        ahead = [entry for entry in ahead if entry not in found]
        for path, data, _ in found:
            wanted.add(_name(path))
            yield path, data


def _name(path: Path) -> bytes:
    """What an import calls a file."""
    return os.fsencode(path.parent.name if path.stem == "__init__" else path.stem)


def _imported(data: bytes) -> Iterator[bytes]:
    for statement in _IMPORT.finditer(data):
        yield from _WORD.findall(statement[0])


def _around(named: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    count = 0
    for root in dict.fromkeys(map(_root, named)):
        files = sources.discover([root], _passed_over) if _is_marked(root) else sorted(root.glob("*.py"))
        for path in files:
            count += 1
            if count > MOST_FILES:
                return
            if path.suffix == ".py":
                try:
                    yield path, sources.read_bytes(path)
                except sources.SourceError:
                    continue


def _passed_over(folder: Path, reason: str) -> None:
    """A folder that cannot be looked into is nobody's concern who did not name it."""


def _root(path: Path) -> Path:
    above = list(path.parents)[:MOST_LEVELS]
    return next((folder for folder in above if _is_marked(folder)), path.parent)


def _is_marked(folder: Path) -> bool:
    return any(os.path.exists(folder / mark) for mark in _MARKS)  # noqa: PTH110 - no for what cannot be seen
