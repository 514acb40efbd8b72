"""Take fixes out of a group: those that people have refused, where the plan did not know of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from pyro_fix.bot.plan import Fix, Group

TOGETHER = "it was verified together with fixes that are left out here, since they were refused"
_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_CONTEXT = 3


@dataclass(frozen=True)
class Hunk:
    """One place that a fix changes: lines with their ends."""

    path: str
    first: int
    """The 1-based line of ``before`` in the file that the diff was made from."""
    above: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    below: tuple[str, ...]


def without(group: Group, refused: Collection[str]) -> Group | None:
    """The group without fixes; None where what is left cannot be told apart from them with certainty.

    A fix that ran in one program with those that go is no longer verified: the rest has not run alone.
    """
    gone = [fix for fix in group.fixes if fix.fingerprint in refused]
    left = [fix for fix in group.fixes if fix.fingerprint not in refused]
    if not gone:
        return group
    texts: dict[str, str] = {}
    try:
        for file in group.files:
            texts[file.path] = file.data.decode()
        for fix in reversed(gone):
            for hunk in reversed(list(hunks(fix.diff))):
                texts[hunk.path] = _undone(texts[hunk.path], hunk)
    except (UnicodeDecodeError, KeyError, ValueError):
        return None
    changed = [replace(file, data=texts[file.path].encode()) for file in group.files]
    files = tuple(file for file in changed if file.blob != file.old)
    ran = {program for fix in gone for program in _programs(fix)}
    fixes = tuple(
        replace(fix, verified=False, reason=TOGETHER) if fix.verified and ran & _programs(fix) else fix for fix in left
    )
    if {hunk.path for fix in fixes for hunk in hunks(fix.diff)} - {file.path for file in files}:
        return None
    return replace(group, fixes=fixes, files=files, patch=b"")


def hunks(diff: str) -> Iterator[Hunk]:
    """The places that a unified diff changes, each without what lies between it and the next.

    Raises :class:`ValueError` where it is none.
    """
    path, lines = "", diff.split("\n")
    at = 0
    while at < len(lines):
        line, at = lines[at], at + 1
        start = _HUNK.match(line)
        if line.startswith("+++ b/"):
            path = line.removeprefix("+++ b/").removesuffix("\t")
        elif start is not None:
            old, new = (int(count) if count is not None else 1 for count in start.groups())
            rows: list[tuple[str, str]] = []
            while old > 0 or new > 0:
                if at == len(lines) or lines[at][:1] not in (" ", "-", "+"):
                    raise ValueError("a hunk is shorter than it says")
                kind, text = lines[at][0], lines[at][1:]
                old, new, at = old - (kind != "+"), new - (kind != "-"), at + 1
                ended = at < len(lines) and lines[at].startswith("\\")
                rows.append((kind, text if ended else text + "\n"))
                at += ended
            yield from _places(path, int(line[4:].split(" ")[0].split(",")[0]), rows)


def _places(path: str, line: int, rows: Sequence[tuple[str, str]]) -> Iterator[Hunk]:
    at = 0
    while at < len(rows):
        if rows[at][0] == " ":
            at, line = at + 1, line + 1
            continue
        end = next((n for n in range(at, len(rows)) if rows[n][0] == " "), len(rows))
        before = tuple(text for kind, text in rows[at:end] if kind == "-")
        after = tuple(text for kind, text in rows[at:end] if kind == "+")
        above = tuple(text for kind, text in rows[max(at - _CONTEXT, 0) : at] if kind == " ")
        below = tuple(text for kind, text in rows[end : end + _CONTEXT] if kind == " ")
        yield Hunk(path, line, above, before, after, below)
        at, line = end, line + len(before)


def _undone(text: str, hunk: Hunk) -> str:
    """``text`` with ``before`` in the place of ``after``; raises ValueError where that is not in one place alone."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    for context in range(_CONTEXT, -1, -1):  # other fixes may have changed what stands round it
        above, below = hunk.above[len(hunk.above) - min(context, len(hunk.above)) :], hunk.below[:context]
        wanted = [*above, *hunk.after, *below]
        places = [n for n in range(len(lines) - len(wanted) + 1) if lines[n : n + len(wanted)] == wanted]
        if len(places) == 1 and wanted:
            start = places[0] + len(above)
            return "".join([*lines[:start], *hunk.before, *lines[start + len(hunk.after) :]])
        if len(places) > 1:
            break
    raise ValueError("not to be found again")


def _programs(fix: Fix) -> set[str]:
    """What tells whether two fixes ran in one program: its command, and the sources that it read."""
    files = fix.evidence.get("files")
    known = {str(file) for file in files} if isinstance(files, list) else set()
    command = fix.evidence.get("command")
    return known | {fix.path} | ({str(command)} if command else set())
