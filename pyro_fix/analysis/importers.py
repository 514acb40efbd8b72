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
_FROM = re.compile(rb"^[ \t]*from[ \t]+(\.*)[ \t]*([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#;]*)", re.MULTILINE)
_IMPORT = re.compile(rb"^[ \t]*import[ \t]+([^\n#;]*)", re.MULTILINE)
_NAME = re.compile(rb"(?:^|[(,])\s*([\w.]+)")

#: The parts of a path without its suffix, or of a dotted name.
_Parts = tuple[str, ...]


def importing(named: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """The files, with their bytes, whose import statements mean one of the named files, directly or not."""
    known = set(named)
    if not known or len(known) > MOST_NAMED:
        return
    ahead = [(path, data, set(_imported(path, data))) for path, data in _around(known) if path not in known]
    fresh = list(map(_parts, known))
    while fresh:
        ends: dict[_Parts, list[_Parts]] = {}
        for target in fresh:
            for length in range(1, len(target) + 1):
                ends.setdefault(target[-length:], []).append(target[:-length])
        found = [
            entry for entry in ahead if any(_is_meant(entry[0], base) for n in entry[2] for base in ends.get(n, ()))
        ]
        mentioned = set(map(id, found))
        ahead = [entry for entry in ahead if id(entry) not in mentioned]
        fresh = [_parts(path) for path, _, _ in found]
        for path, data, _ in found:
            yield path, data


def _parts(path: Path) -> _Parts:
    return path.parent.parts if path.stem == "__init__" else (*path.parent.parts, path.stem)


def _is_meant(importer: Path, base: _Parts) -> bool:
    """Whether imports may be looked for in the folder: one above the importer, or beside such a one, as ``src``."""
    here = importer.parent.parts
    return here[: len(base)] == base or (len(base) > 1 and here[: len(base) - 1] == base[:-1])


def _imported(path: Path, data: bytes) -> Iterator[_Parts]:
    """Dotted names, and the whole parts of a path where an import is relative."""
    for found in _FROM.finditer(data):
        dots, module = len(found[1]), _dotted(found[2])
        whole = (*path.parents[min(dots, len(path.parents)) - 1].parts, *module) if dots else module
        if whole:
            yield whole
        yield from ((*whole, name.decode("utf-8", "replace")) for name in _NAME.findall(found[3]))
    for found in _IMPORT.finditer(data):
        yield from map(_dotted, _NAME.findall(found[1]))


def _dotted(name: bytes) -> _Parts:
    return tuple(name.decode("utf-8", "replace").split(".")) if name else ()


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
