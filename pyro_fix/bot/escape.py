"""Anything from a repository as Markdown that GitHub and GitLab show as it is.

It can be no markup, HTML or comment, mentions nobody, refers to no issue, is no command to GitLab, and hides nothing.
"""

from __future__ import annotations

import re
from html import escape

from pyro_fix.report.markup import visible

#: Both forges look for mentions and references in the text as it is shown, where a backslash or an entity is gone.
_GAP = "\u200b"
_SIGNS = re.compile(
    r"([@#!$&~%^])(?=[\w\"{\[/])|(\bGH-)(?=\d)|(\b[\w.+-]+:)(?=//)|(\bwww)(?=\.)|(\bmailto:)", re.IGNORECASE
)
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]<>#!|~$&])")
#: What begins a list, a heading or, on GitLab, a command where it begins a line.
_BEGINNING = re.compile(r"\A(?=[-+=/:]|\d+[.)])")


def text(words: str) -> str:
    """Running text, in one line."""
    return _BEGINNING.sub(_GAP, _PUNCTUATION.sub(r"\\\1", _apart(_line(words))))


def html(words: str) -> str:
    """The same where Markdown is not read: in a line that begins with an HTML tag."""
    return escape(_apart(_line(words)))


def code(words: str, cell: bool = False) -> str:
    """A span of code, in one line; ``cell``: in a table."""
    shown = _line(words)
    if not shown:
        return ""
    fence = "`" * (_longest(shown) + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown.replace('|', chr(92) + '|') if cell else shown}{pad}{fence}"


def block(words: str, language: str = "") -> str:
    """A block of code."""
    shown = "\n".join(visible(line.removesuffix("\r")) for line in words.rstrip("\n").split("\n"))
    fence = "`" * max(_longest(shown) + 1, 3)
    return f"{fence}{language}\n{shown}\n{fence}"


def _line(words: str) -> str:
    return " ".join(visible(words).split())


def _apart(words: str) -> str:
    return _SIGNS.sub(lambda found: f"{found[0]}{_GAP}", words)


def _longest(words: str) -> int:
    return max((len(run) for run in re.findall("`+", words)), default=0)
