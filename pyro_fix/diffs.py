"""Unified diffs that ``git apply`` takes from the folder in which pyro-fix ran."""

from __future__ import annotations

import difflib
import os
import re
from functools import lru_cache
from pathlib import Path

from pyro_fix.result import Change
from pyro_fix.visible import hides

_CONTEXT = 3
_HUNK = re.compile(r"@@ -(\d+)((?:,\d+)?) \+(\d+)((?:,\d+)?) @@\n")


def unified(old: str, new: str, path: Path, cwd: Path) -> str:
    """The diff from ``old`` to ``new`` of the file at ``path``, for a person or a JSON report; empty when equal."""
    hunks = _hunks(old, new)
    return header(path, cwd) + hunks if hunks else ""


def of_change(change: Change, cwd: Path) -> bytes:
    """The same for a whole change, in the file's own bytes."""
    # Latin-1 maps bytes to characters one to one: byte order mark, encoding and newlines come through as they are.
    old, new = (data.decode("latin-1") for data in (change.source.data, change.source.encode(change.text)))
    hunks = _hunks(old, new)
    return os.fsencode(header(change.source.path, cwd)) + hunks.encode("latin-1") if hunks else b""


def _hunks(old: str, new: str) -> str:
    # Only what lies between the equal ends is searched for differences: long files cost no more than short ones.
    head = _context_before(old, _equal(old, new))
    tail = _context_behind(old, _equal(old[head:][::-1], new[head:][::-1]))
    skipped = old.count("\n", 0, head)
    lines = difflib.unified_diff(_lines(old[head : len(old) - tail]), _lines(new[head : len(new) - tail]), n=_CONTEXT)
    return "".join(
        _moved(line, skipped) if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for number, line in enumerate(lines)
        if number >= 2  # The header is ours.
    )


def _equal(left: str, right: str) -> int:
    """How many characters two texts have in common at their start."""
    low, high = 0, min(len(left), len(right))
    while low < high:  # halves are compared, which is faster by far than one character after the other
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _context_before(text: str, end: int) -> int:
    """Where the lines begin that are shown in front of what differs from ``end`` on."""
    for _ in range(_CONTEXT + 1):
        end = text.rfind("\n", 0, end)
        if end < 0:
            return 0
    return end + 1


def _context_behind(text: str, equal: int) -> int:
    """How many of the last ``equal`` characters are not shown."""
    at = len(text) - equal
    for _ in range(_CONTEXT + 1):
        at = text.find("\n", at) + 1
        if at == 0:
            return 0
    return len(text) - at


def _moved(line: str, by: int) -> str:
    """Count the lines of a hunk's header from the start of the file."""
    match = _HUNK.match(line)
    if match is None or not by:
        return line
    return f"@@ -{int(match[1]) + by}{match[2]} +{int(match[3]) + by}{match[4]} @@\n"


def _lines(text: str) -> list[str]:
    """Split at line feeds alone, as git does: a form feed or a lone carriage return ends no line."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def header(path: Path, cwd: Path) -> str:
    """The lines that name the file.

    Without a ``diff --git`` line git takes names relative to the working folder, as ``patch -p1`` does.  Only where
    a name starts like the way from the repository to the working folder (``pkg/pkg/a.py`` seen from ``pkg/``) would
    git take that off a second time; there the other form is needed, whose names are relative to the repository.

    A file outside the working folder is named by ``..``, which git refuses aloud.  Named from the repository it would
    be passed over in silence.
    """
    real, here = os.path.realpath(path), os.path.realpath(cwd)
    name, first = _relative(real, here), ""
    top = repository(here)
    if top and name.startswith(f"{_relative(here, top)}/"):
        name = _relative(real, top)
        first = f"diff --git {_quoted(f'a/{name}')} {_quoted(f'b/{name}')}\n"
    tab = "\t" if " " in name else ""  # Ends a name that holds spaces; git and patch agree on it.
    return f"{first}--- {_quoted(f'a/{name}')}{tab}\n+++ {_quoted(f'b/{name}')}{tab}\n"


@lru_cache(maxsize=8)
def repository(folder: str) -> str:
    """The top of the git repository that holds ``folder`` (both absolute); empty when there is none."""
    at = Path(folder)
    return next((str(top) for top in (at, *at.parents) if os.path.exists(top / ".git")), "")  # noqa: PTH110 - no for what cannot be seen


def _relative(path: str, folder: str) -> str:
    return os.path.relpath(path, folder).replace(os.sep, "/")


def _quoted(name: str) -> str:
    """Quote what would end a name early, or not be seen as what it is, the way git does: byte by byte."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    quoted = "".join(escapes.get(c) or (_octal(c) if hides(c) else c) for c in name)
    return name if quoted == name else f'"{quoted}"'


def _octal(letter: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(letter))
