"""Turn edits into new file texts."""

from __future__ import annotations

import io
import tokenize
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    edits: Mapping[Path, tuple[Edit, ...]]
    """What was done to each file, in the order of places."""
    landed: Mapping[Edit, int]
    """The line of each edit."""


class Way:
    """The way back from a text that edits have made to the one that they were made in."""

    def __init__(self, edits: Sequence[Edit]) -> None:
        """``edits`` of one file, as :attr:`Patch.edits` has them."""
        self._edits = edits
        self._starts: list[int] = []
        shift = 0
        for edit in edits:
            self._starts.append(edit.start + shift)
            shift += len(edit.replacement) - (edit.end - edit.start)

    def on(self, start: int, end: int) -> tuple[int, int] | None:
        """Where the characters from ``start`` to ``end`` are afterwards; None where an edit touches them."""
        shift = 0
        for edit in self._edits:
            if edit.end < start:
                shift += len(edit.replacement) - (edit.end - edit.start)
            elif edit.start <= end:
                return None
        return start + shift, end + shift

    def back(self, offset: int) -> int:
        """Where the character at ``offset`` was before; one that is new has the place of what it replaced."""
        at = bisect_right(self._starts, offset) - 1
        if at < 0:
            return offset
        edit, into = self._edits[at], offset - self._starts[at]
        if into >= len(edit.replacement):
            return edit.end + into - len(edit.replacement)
        return edit.start + min(into, max(edit.end - edit.start - 1, 0))


@dataclass(frozen=True)
class Round:
    """What was written at a time."""

    sources: Mapping[Path, Source]
    """The files as they were."""
    groups: tuple[Sequence[Edit], ...]
    """The edits, by fix."""
    ways: Mapping[Path, Way]
    """The ways back to the files as they were."""


def instead(
    rounds: Sequence[Round], old: Sequence[Edit], new: Sequence[Edit], current: Mapping[Path, Source]
) -> dict[Path, str] | None:
    """What ``current``, which the rounds have come to, would be with a fix's edits ``new`` in the place of ``old``.

    None where they were not made, or a later round has changed the same words again.
    """
    number = next((n for n, one in enumerate(rounds) if any(group is old for group in one.groups)), None)
    if number is None:
        return None
    at, later = rounds[number], rounds[number + 1 :]
    groups = [new if group is old else group for group in at.groups]
    try:
        here, there = (compose(at.sources, [e for group in some for e in group]) for some in (at.groups, groups))
    except Conflict:
        return None
    if here.texts.keys() != there.texts.keys():
        return None
    found: dict[Path, str] = {}
    for path, text in here.texts.items():
        span: tuple[int, int] | None
        start, end, words = _difference(text, there.texts[path])
        span = start, end
        for one in later:
            span = one.ways[path].on(*span) if span is not None and path in one.ways else span
        if span is None or current[path].text[slice(*span)] != text[start:end]:
            return None
        if words != text[start:end]:
            found[path] = current[path].text[: span[0]] + words + current[path].text[span[1] :]
    return found


def _difference(old: str, new: str) -> tuple[int, int, str]:
    """From where to where two texts differ, by whole words, and what stands there in the new one."""
    head, tail = alike(old, new)
    while head and _in_word(old[head - 1]):
        head -= 1
    while tail and _in_word(old[-tail]):
        tail -= 1
    return head, len(old) - tail, new[head : len(new) - tail]


def alike(old: str, new: str) -> tuple[int, int]:
    """How many characters two texts share at their beginnings, and how many of the rest at their ends."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return head, tail


def _in_word(character: str) -> bool:
    return character.isalnum() or character in "._"


class Composer:
    """Finds out which groups of edits can be applied together, one group after the other."""

    def __init__(self) -> None:
        self._taken: dict[Path, list[tuple[int, int, str]]] = {}
        self._groups: dict[int, Iterable[Edit]] = {}

    def add(self, edits: Iterable[Edit]) -> bool:
        """Take a group in, all or none; False when it conflicts with what is in already, or with itself."""
        if id(edits) in self._groups:  # many findings may share one fix
            return True
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
        self._groups[id(edits)] = edits
        return True


def doubt(sources: Mapping[Path, Source], edits: Sequence[Edit]) -> str:
    """Why edits would do more than change what they say; empty where they are sound.

    Raises :class:`Conflict` or an IndexError where they cannot be made at all.
    """
    if not Composer().add(edits):
        raise Conflict("edits of one fix overlap")
    by_path: dict[Path, list[Edit]] = {}
    for edit in edits:
        if not 0 <= edit.start <= edit.end <= len(sources[edit.path].text):
            raise IndexError(f"an edit from {edit.start} to {edit.end}")
        by_path.setdefault(edit.path, []).append(edit)
    for path, group in by_path.items():
        source = sources[path]
        lost = any("#" in source.text[edit.start : edit.end] for edit in group)
        if lost or source.encoding not in PLAIN_ENCODINGS:
            patch = compose(sources, group)
            if lost and _loses_a_comment(source.text, patch.texts[path]):
                return "a comment that stands in it would be lost"
            if source.encoding not in PLAIN_ENCODINGS and not survives(source, patch.edits[path]):
                return f"in its encoding, {source.encoding}, other bytes would change as well"
    return ""


#: Each character has bytes of its own, whatever stands before it.
PLAIN_ENCODINGS = frozenset({"utf-8", "utf-8-sig", "ascii", "iso-8859-1", "iso-8859-15", "cp1252"})


def survives(source: Source, edits: Sequence[Edit]) -> bool:
    """Whether all bytes outside of ``edits`` (in the order of places) stay as they are.

    An encoding may say something in one place that holds for the next, so each piece is written by itself.
    """
    pieces: list[bytes] = []
    new: list[bytes] = []
    at = 0
    try:
        for edit in edits:
            kept = source.encode(source.text[at : edit.start])
            pieces += [kept, source.encode(source.text[edit.start : edit.end])]
            new += [kept, source.encode(edit.replacement)]
            at = edit.end
        rest = source.encode(source.text[at:])
        text = _apply(source.text, edits)
        written = b"".join([*new, rest])
        return (
            b"".join([*pieces, rest]) == source.data
            and written == source.encode(text)
            and written.decode(source.encoding) == text
        )
    except (UnicodeError, ValueError):
        return False


def _loses_a_comment(old: str, new: str) -> bool:
    """Whether a comment of ``old`` is none of ``new`` any more; two may have become one."""
    before, after = Counter(_comments(old)), list(_comments(new))
    return any(sum(comment.count(words) for comment in after) < times for words, times in before.items())


def _comments(text: str) -> Iterator[str]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
            if token.type == tokenize.COMMENT:
                yield token.string.rstrip()
    except (tokenize.TokenError, SyntaxError):
        return


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
    lines: dict[Path, tuple[int, ...]] = {}
    landed: dict[Edit, int] = {}
    ordered = {path: tuple(sorted(group, key=lambda e: (e.start, e.end))) for path, group in by_path.items()}
    for path, group in ordered.items():
        texts[path] = _apply(sources[path].text, group)
        found = _lines(sources[path], group)
        landed.update(zip(group, found, strict=True))
        lines[path] = tuple(dict.fromkeys(found))
    return Patch(texts, lines, ordered, landed)


def _apply(text: str, edits: Iterable[Edit]) -> str:
    pieces: list[str] = []
    at = 0
    last: Edit | None = None
    for edit in edits:
        if last is not None and (edit.start < last.end or edit.start == last.start):
            raise Conflict(f"{edit.path}: two edits at offset {edit.start}")
        pieces += (text[at : edit.start], edit.replacement)
        at, last = edit.end, edit
    return "".join(pieces) + text[at:]


def _lines(source: Source, edits: Iterable[Edit]) -> list[int]:
    """The line of the new text on which each edit begins, white space aside."""
    found: list[int] = []
    moved = 0
    for edit in edits:
        blank = len(edit.replacement) - len(edit.replacement.lstrip())
        found.append(source.line_of(edit.start) + moved + _breaks(edit.replacement[:blank]))
        moved += _breaks(edit.replacement) - _breaks(source.text[edit.start : edit.end])
    return found


def _breaks(text: str) -> int:
    """How many lines end in a text: after a line feed, a carriage return, or both."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")
