"""Anything as text of a page."""

from __future__ import annotations

import re
from html import escape

#: Control characters, and those that turn text round: they would show something else than what is there.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(words: str) -> str:
    """The same words with all that hides spelled out."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), words)


def plain(value: object) -> str:
    """What comes from a repository can neither be markup nor hide."""
    return escape(visible(str(value)))
