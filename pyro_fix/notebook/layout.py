"""Where a notebook's JSON holds the source of its cells, and how to spell a new source there.

Only the characters of a changed cell's source are replaced: everything else of the file, and within the cell the
spelling of every line that stays, is the file's own.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from itertools import pairwise
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
#: One character of a string as JSON spells it: a surrogate pair is one character, too.
_CHARACTER = re.compile(r"\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|\\u\w{4}|\\.|[^\\]")


def _integer(digits: str) -> float:
    """No number of a notebook but its format matters, and Python refuses to read very long ones."""
    return int(digits) if len(digits) < 10 else float(digits)


_decode = json.JSONDecoder(parse_int=_integer).raw_decode


class LayoutError(ValueError):
    """The file is no notebook that we can read; the message is a part of a line for the user."""


@dataclass(frozen=True)
class Cell:
    """A cell of code."""

    number: int
    """Its place among all cells of the notebook, the first being 1."""
    text: str
    start: int
    end: int
    """The span of its source, brackets and quotes included, in the characters of the file."""


@dataclass(frozen=True)
class Layout:
    """The cells of code of a notebook, and what it says of itself."""

    cells: tuple[Cell, ...]
    language: str
    """What its kernel runs, in lower case; empty where the notebook does not say."""


def read(text: str) -> Layout:
    """Find the cells in a notebook's JSON; raises :class:`LayoutError`."""
    cells: list[Cell] = []
    known: dict[str, Any] = {}
    count = 0

    def cell(at: int) -> int:
        nonlocal count
        count += 1
        kind, source, span = None, None, (at, at)

        def member(key: str, start: int) -> int:
            nonlocal kind, source, span
            value, end = _decode(text, start)
            if key == "cell_type":
                kind = value
            elif key == "source":
                source, span = _joined(value), (start, end)
            return end

        end = _object(text, at, member)
        if kind == "code" and source is not None:
            cells.append(Cell(count, source, *span))
        return end

    def top(key: str, start: int) -> int:
        nonlocal count
        if key == "cells" and text[start : start + 1] == "[":
            count, known[key] = 0, True
            cells.clear()  # of members with one name the last counts
            return _array(text, start, cell)
        known[key], end = _decode(text, start)
        return end

    try:
        end = _object(text, _space(text, 0), top)
        if _space(text, end) != len(text):
            raise json.JSONDecodeError("Extra data", text, end)
    except json.JSONDecodeError as error:
        raise LayoutError(f"is not valid JSON: line {error.lineno}: {error.msg}") from None
    except RecursionError:
        raise LayoutError("is nested too deeply") from None
    version = known.get("nbformat")
    if version != 4:
        what = f"is in notebook format {version}" if isinstance(version, int) else "is no Jupyter notebook"
        raise LayoutError(f"{what}; only format 4 is read")
    return Layout(tuple(cells) if "cells" in known else (), _language(known.get("metadata")))


def _joined(value: object) -> str:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    if not isinstance(value, str):
        raise LayoutError("has a cell whose source is no text")
    return value


def _language(metadata: object) -> str:
    for part, key in (("kernelspec", "language"), ("language_info", "name")):
        told = metadata.get(part) if isinstance(metadata, dict) else None
        language = told.get(key) if isinstance(told, dict) else None
        if isinstance(language, str) and language:
            return language.lower()
    return ""


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _object(text: str, at: int, member: Callable[[str, int], int]) -> int:
    """Walk over an object; ``member`` gets each key and where its value starts, and returns where that ends."""

    def item(start: int) -> int:
        key, end = _decode(text, start)
        colon = _space(text, end)
        if not isinstance(key, str) or text[colon : colon + 1] != ":":
            raise json.JSONDecodeError("Expecting a member of an object", text, start)
        return member(key, _space(text, colon + 1))

    return _items(text, at, "{}", item)


def _array(text: str, at: int, item: Callable[[int], int]) -> int:
    """Walk over an array; ``item`` gets where a value starts, and returns where it ends."""
    return _items(text, at, "[]", item)


def _items(text: str, at: int, brackets: str, item: Callable[[int], int]) -> int:
    if text[at : at + 1] != brackets[0]:
        raise json.JSONDecodeError(f"Expecting '{brackets[0]}'", text, at)
    at = _space(text, at + 1)
    if text[at : at + 1] == brackets[1]:
        return at + 1
    while True:
        at = _space(text, item(at))
        if text[at : at + 1] == brackets[1]:
            return at + 1
        if text[at : at + 1] != ",":
            raise json.JSONDecodeError(f"Expecting ',' or '{brackets[1]}'", text, at)
        at = _space(text, at + 1)


# ---------------------------------------------------------------------------------------------------------- writing


@dataclass(frozen=True)
class _Line:
    """A line of a source, and the same as the file spells it, without quotes."""

    text: str
    raw: str


def rewritten(text: str, cell: Cell, new: str) -> str:
    """What stands in the place of ``text[cell.start:cell.end]`` when the cell's source becomes ``new``."""
    escape = text.isascii()
    if text[cell.start] == '"':
        old = _raw_lines(cell.text, text[cell.start + 1 : cell.end - 1])
        return '"' + "".join(_spelled(old, _at_line_feeds(new), escape)) + '"'
    spans = _elements(text, cell)
    old = [_Line(_decode(text, start)[0], text[start + 1 : end - 1]) for start, end in spans]
    units = [line.text for line in old]
    # Writers differ in what ends a line; few end it elsewhere than one of the first two.
    split = next(way for way in (_by_python, _at_line_feeds, partial(_at_items, units)) if way(cell.text) == units)
    lead = text[cell.start + 1 : spans[0][0]] if spans else ""
    tail = text[spans[-1][1] : cell.end - 1] if spans else ""
    between = Counter(text[a[1] : b[0]] for a, b in pairwise(spans))
    separator = between.most_common(1)[0][0] if between else "," + (lead or " ")
    return f"[{lead}" + separator.join(f'"{raw}"' for raw in _spelled(old, split(new), escape)) + f"{tail}]"


def _elements(text: str, cell: Cell) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []

    def element(start: int) -> int:
        end: int = _decode(text, start)[1]
        spans.append((start, end))
        return end

    _array(text, cell.start, element)
    return spans


def _at_line_feeds(text: str) -> list[str]:
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _by_python(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _at_items(items: list[str], text: str) -> list[str]:
    """``text`` split where the ends of it were, and whatever is new in one piece."""
    head, tail, start, end = 0, len(items), 0, len(text)
    while head < tail and text.startswith(items[head], start, end):
        start += len(items[head])
        head += 1
    while head < tail and text.endswith(items[tail - 1], start, end):
        end -= len(items[tail - 1])
        tail -= 1
    return [*items[:head], *([text[start:end]] if start < end else []), *items[tail:]]


def _raw_lines(text: str, raw: str) -> list[_Line]:
    """The lines of a string that holds a whole source."""
    characters = _CHARACTER.findall(raw)
    lines, at = [], 0
    for line in _at_line_feeds(text):
        lines.append(_Line(line, "".join(characters[at : at + len(line)])))
        at += len(line)
    return lines


def _spelled(old: list[_Line], new: list[str], escape: bool) -> list[str]:
    """How to spell new lines: those that stay, and what stays of a line that changes, as they were."""
    matcher = SequenceMatcher(None, [line.text for line in old], new, autojunk=False)
    spelled: list[str] = []
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        if kind == "equal":
            spelled += [line.raw for line in old[i1:i2]]
        else:
            olds = [*old[i1:i2], *[_Line("", "")] * (j2 - j1)]
            spelled += [_changed(line, text, escape) for line, text in zip(olds, new[j1:j2], strict=False)]
    return spelled


def _changed(old: _Line, new: str, escape: bool) -> str:
    characters = _CHARACTER.findall(old.raw)
    shorter = min(len(old.text), len(new))
    head = next((i for i in range(shorter) if old.text[i] != new[i]), shorter)
    tail = next((i for i in range(shorter - head) if old.text[-1 - i] != new[-1 - i]), shorter - head)
    inserted = json.dumps(new[head : len(new) - tail], ensure_ascii=escape)[1:-1]
    return "".join([*characters[:head], inserted, *characters[len(characters) - tail :]])
