"""Messages of exceptions and warnings as a person reads them: the tensor stands in the middle of what counts."""

from __future__ import annotations

import re

#: Letters of a message that are kept, wherever it is told in full; a program can raise whatever it likes.
LONGEST = 8000
#: ... and where it is told in a line of a terminal.
IN_A_LINE = 2000
#: ... and where something else is told, of which it is the reason.
IN_PASSING = 300
#: Of so many numbers in a row the first and the last ones are told, as torch does with a thousand.
MOST_NUMBERS, SHOWN = 8, 3
_PARTS = re.compile(r"\[|\]|,\s*|[^][,]+")
_NUMBER = re.compile(r"\s*(?:[-+]?(?:\d[\d.]*(?:e[-+]?\d+)?|nan|inf)j?|True|False|\.\.\.)\s*")


#: Where the part of Pyro's messages begins that is a table.
_TABLES = re.compile(r"\s*Trace Shapes:.*|\s*Not Trace Shapes.*", re.DOTALL)


def in_words(message: str) -> str:
    """The whole message of an exception in one line, but for Pyro's table of shapes."""
    return cut(" ".join(_TABLES.sub("", message).split()), LONGEST)


def cut(text: str, limit: int) -> str:
    """A text without its middle, where it is too long: its beginning says what it is about, its end often the cause."""
    if len(text) <= limit:
        return text
    end = limit // 3
    return f"{text[: limit - end - 1]}…{text[-end:]}"


def shortened(text: str, limit: int = IN_A_LINE) -> str:
    """A message for a line: of long rows of numbers the first and the last ones."""
    return cut(_rows_shortened(cut(text, LONGEST)), limit)


def _rows_shortened(text: str) -> str:
    """Rows of numbers, and rows of such rows, with three at either end.  What else stands in brackets stays."""
    open_rows: list[list[str]] = [[""]]
    plain = [False]  # whether all that a row holds so far are numbers, or rows of them
    for part in _PARTS.findall(text):
        if part == "[":
            open_rows.append([""])
            plain.append(True)
        elif part == "]" and len(open_rows) > 1:
            items, is_plain = open_rows.pop(), plain.pop()
            if is_plain and len(items) > MOST_NUMBERS:
                items = [*items[:SHOWN], "...", *items[-SHOWN:]]
            open_rows[-1][-1] += f"[{', '.join(items) if is_plain else ''.join(items)}]"
            plain[-1] = plain[-1] and is_plain
        elif part.startswith(",") and plain[-1]:
            open_rows[-1].append("")
        else:
            if plain[-1] and not _NUMBER.fullmatch(part):  # its commas are a text's own
                open_rows[-1] = [", ".join(open_rows[-1])]
                plain[-1] = False
            open_rows[-1][-1] += part
    while len(open_rows) > 1:  # brackets that nothing closes, as where the middle is cut out
        items, is_plain = open_rows.pop(), plain.pop()
        open_rows[-1][-1] += f"[{', '.join(items) if is_plain else ''.join(items)}"
    return "".join(open_rows[0])
