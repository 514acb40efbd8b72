"""Turn edits into new file texts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyro_fix.sources import Source
from pyro_fix.transform import Edit


class Conflict(Exception):
    """Two edits want to change the same characters; they cannot be applied in one round."""


@dataclass(frozen=True)
class Patch:
    """New texts of files, and where in them the edits landed."""

    texts: Mapping[Path, str]
    lines: Mapping[Path, tuple[int, ...]]
    """1-based lines of the new text on which an edit begins: what has to run for a verdict to count."""
    landed: Mapping[Edit, int] = field(default_factory=dict)
    """The line of each edit."""


class Composer:
    """Finds out which groups of edits can be applied together, one group after the other."""

    def __init__(self) -> None:
        self._taken: dict[Path, list[tuple[int, int, str]]] = {}

    def add(self, edits: Iterable[Edit]) -> bool:
        """Take a group in, all or none; False when it conflicts with what is in already, or with itself."""
        added: list[tuple[list[tuple[int, int, str]], tuple[int, int, str]]] = []
        for edit in set(edits):
            spans = self._taken.setdefault(edit.path, [])
            span = (edit.start, edit.end, edit.replacement)
            at = bisect_left(spans, span)
            if at < len(spans) and spans[at] == span:
                continue
            before, after = spans[at - 1 : at], spans[at : at + 1]
            if any(_meet(other, span) for other in (*before, *after)):
                for known, entry in added:
                    known.remove(entry)
                return False
            spans.insert(at, span)
            added.append((spans, span))
        return True


def _meet(left: tuple[int, int, str], right: tuple[int, int, str]) -> bool:
    first, second = sorted((left, right))
    return second[0] < first[1] or second[0] == first[0]


def compose(sources: Mapping[Path, Source], edits: Iterable[Edit]) -> Patch:
    """Apply ``edits`` together.

    Equal edits count once (two fixes may need one import).  Different insertions at one place and overlapping
    replacements raise :class:`Conflict`: they have to wait for the next round.
    """
    by_path: dict[Path, set[Edit]] = {}
    for edit in edits:
        by_path.setdefault(edit.path, set()).add(edit)
    texts: dict[Path, str] = {}
    landed: dict[Edit, int] = {}
    for path, group in by_path.items():
        edits = sorted(group, key=lambda e: (e.start, e.end))
        texts[path], lines = _apply(sources[path].text, edits)
        landed.update(zip(edits, lines, strict=True))
    lines_of = {path: tuple(dict.fromkeys(n for e, n in landed.items() if e.path == path)) for path in by_path}
    return Patch(texts, lines_of, landed)


def _apply(text: str, edits: list[Edit]) -> tuple[str, list[int]]:
    """The new text, and the line of it on which each edit begins."""
    pieces: list[str] = []
    starts: list[int] = []
    at = length = 0
    last: Edit | None = None
    for edit in edits:
        if last is not None and (edit.start < last.end or edit.start == last.start):
            raise Conflict(f"{edit.path}: two edits at offset {edit.start}")
        kept = text[at : edit.start]
        pieces += (kept, edit.replacement)
        length += len(kept)
        starts.append(length + len(edit.replacement) - len(edit.replacement.lstrip()))
        length += len(edit.replacement)
        at, last = edit.end, edit
    new = "".join(pieces) + text[at:]
    return new, [new.count("\n", 0, start) + 1 for start in starts]
