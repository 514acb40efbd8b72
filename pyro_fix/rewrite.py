"""Turn edits into new file texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


def compose(sources: Mapping[Path, Source], edits: Iterable[Edit]) -> Patch:
    """Apply ``edits`` together.

    Equal edits count once (two fixes may need one import).  Different insertions at one place and overlapping
    replacements raise :class:`Conflict`: they have to wait for the next round.
    """
    by_path: dict[Path, set[Edit]] = {}
    for edit in edits:
        by_path.setdefault(edit.path, set()).add(edit)
    texts: dict[Path, str] = {}
    lines: dict[Path, tuple[int, ...]] = {}
    for path, group in by_path.items():
        texts[path], lines[path] = _apply(sources[path].text, sorted(group, key=lambda e: (e.start, e.end)))
    return Patch(texts, lines)


def _apply(text: str, edits: list[Edit]) -> tuple[str, tuple[int, ...]]:
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
    return new, tuple(dict.fromkeys(new.count("\n", 0, start) + 1 for start in starts))
