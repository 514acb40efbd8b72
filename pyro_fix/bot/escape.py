"""Anything from a repository as Markdown that GitHub and GitLab show as it is.

It can be no markup, HTML or comment, mentions nobody, refers to no issue, is no command to GitLab, and hides nothing.
"""

from __future__ import annotations

import re
from html import escape

from pyro_fix.visible import visible

#: Both forges look for mentions and references in the text as it is shown, where a backslash or an entity is gone.
_GAP = "\u200b"
#: After each of these comes a gap.  All are short: one must not swallow the beginning of another.
_SIGNS = re.compile(
    "|".join(
        (
            r"[@#!$&~%^](?=[\w\"{\[/])",  # mentions and references
            r"(?<=\w)(?<!\de)-(?=\d)",  # GH-1, and the keys of other trackers; not 1e-05
            r"[0-9a-f]{6}(?=[0-9a-f])",  # commits
            r":(?=//)|www(?=\.)|mailto:",  # links
            r":(?=[\w+-]+(?::|\Z))",  # emoji; what comes after may begin with a colon
            r"\[(?=[a-z_]+(?::|\Z))|\*(?=iteration:)|[{\[](?=[+-])",  # GitLab's references, added and removed words
        )
    ),
    re.IGNORECASE,
)
_PUNCTUATION = re.compile(r"[\\`*_{}<>#!~^]|(?<==)=|(?<=\+)\+")
#: A backslash before these begins a formula for some parsers, or ends no cell; a dollar sign wants a tag of its own.
_ENTITIES = {"&": "&amp;", "[": "&#91;", "]": "&#93;", "|": "&#124;", "$": "<span>&#36;</span>"}
_TABLE = str.maketrans(_ENTITIES)
#: What begins a list, a task, a heading or, on GitLab, a command where it begins a line.
_BEGINNING = re.compile(r"\A(?=[-+=/:\[]|\d+(?:[.)]\s|[.)]?\Z))")
#: The bot's own comments begin so, and are looked for in the text as it is written.
_OWN = re.compile(r"<!--(?=\s*pyro-fix)", re.IGNORECASE)


def text(words: str) -> str:
    """Running text, in one line."""
    apart = _BEGINNING.sub(_GAP, _apart(_line(words)))
    return _PUNCTUATION.sub(r"\\\g<0>", apart).translate(_TABLE)


def html(words: str) -> str:
    """The same where Markdown is not read: in a line that begins with an HTML tag."""
    return escape(_apart(_line(words))).replace("$", _ENTITIES["$"])


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
    shown = "\n".join(_visible(line.removesuffix("\r")) for line in words.rstrip("\n").split("\n"))
    fence = "`" * max(_longest(shown) + 1, 3)
    return f"{fence}{language}\n{shown}\n{fence}"


def _line(words: str) -> str:
    return " ".join(_visible(words).split())


def _visible(words: str) -> str:
    return _apart(visible(words), _OWN)


def _apart(words: str, signs: re.Pattern[str] = _SIGNS) -> str:
    return signs.sub(lambda found: f"{found[0]}{_GAP}", words)


def _longest(words: str) -> int:
    return max((len(run) for run in re.findall("`+", words)), default=0)
