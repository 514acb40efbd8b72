"""Anything as text of a page."""

from __future__ import annotations

import re
from html import escape

#: Control characters, those that turn text round, and those that show nothing: they would show something else than
#: what is there.  Not those that join letters and emoji.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


def visible(words: str) -> str:
    """The same words with all that hides spelled out."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), words)


def plain(value: object) -> str:
    """What comes from a repository can neither be markup nor hide."""
    return escape(visible(str(value)))
