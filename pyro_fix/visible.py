"""Words from a repository, where a person reads them: nothing in them may act, hide, or look like something of ours.

A file's name, an exception's text or a site's name can hold whatever somebody put there: sequences that a terminal
obeys, letters that turn a line round or show nothing, line breaks after which a line of ours seems to follow.
"""

from __future__ import annotations

import re

#: Control characters, those that turn text round, and those that show nothing: they would show something else than
#: what is there.  Not those that join letters and emoji.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ud800-\udfff\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def visible(words: str) -> str:
    """The same words with all that hides spelled out, as Python spells it; tabs and line breaks stay."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), words)


def in_line(words: str) -> str:
    """The same in one line: what is told of one thing can not look like two."""
    return visible(words).replace("\n", "\\n")


def hides(letter: str) -> bool:
    """Whether a letter would not be seen as what it is."""
    return _HIDDEN.match(letter) is not None
