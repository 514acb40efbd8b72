"""Comments that silence findings: ``# noqa: SVI051``, ``# pyro-fix: ignore[SVI051]`` and ``ignore-file``."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from functools import lru_cache

from pyro_fix.sources import Source
from pyro_fix.transform import Proposal

_CODES = r"[A-Z]+[0-9]*(?:[\s,]+[A-Z]+[0-9]*)*"
_NOQA = re.compile(rf"\#\s*noqa\b(?P<colon>\s*:\s*(?P<codes>{_CODES})?)?", re.IGNORECASE | re.ASCII)
_OURS = re.compile(r"\#\s*pyro-fix:\s*ignore(?P<file>-file)?\b(?!-)(?:\s*\[(?P<codes>[^\]]*)\])?", re.IGNORECASE)
_WORDS = re.compile(r"noqa|pyro-fix", re.IGNORECASE)


def suppressed(source: Source, proposal: Proposal) -> bool:
    """Whether a comment on a line of the proposal's statement, or one for the whole file, silences it."""
    lines = range(proposal.line, max(proposal.line, proposal.end_line) + 1)
    return any(
        (line is None or line in lines) and (not codes or any(_covers(code, proposal.code) for code in codes))
        for line, codes in _directives(source.code)
    )


def _covers(prefix: str, code: str) -> bool:
    """``SVI``, ``SVI05`` and ``SVI051`` cover SVI051.  ``S`` does not: it is another tool's."""
    letters = code.rstrip("0123456789")
    return code.startswith(prefix.upper()) and len(prefix) >= len(letters)


@lru_cache(maxsize=16)
def _directives(text: str) -> tuple[tuple[int | None, tuple[str, ...]], ...]:
    """Line (None: the whole file) and codes (none: all) of every comment that silences."""
    if not _WORDS.search(text):
        return ()
    found: list[tuple[int | None, tuple[str, ...]]] = []
    for line, comment in _comments(text):
        for match in _NOQA.finditer(comment):
            # "noqa:" and then no code is a slip; it must not silence everything.
            if not match["colon"] or match["codes"]:
                found.append((line, _codes(match["codes"])))
        for match in _OURS.finditer(comment):
            if match["codes"] is None or _codes(match["codes"]):
                found.append((None if match["file"] else line, _codes(match["codes"])))
    return tuple(found)


def _codes(text: str | None) -> tuple[str, ...]:
    return tuple(re.split(r"[\s,]+", text.strip(" ,"))) if text and text.strip(" ,") else ()


def _comments(text: str) -> Iterator[tuple[int, str]]:
    """Comments that hold one of our words.  Only a tokenizer tells them from strings that look alike."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="").readline):
            if token.type == tokenize.COMMENT and _WORDS.search(token.string):
                yield token.start[0], token.string
    except (tokenize.TokenError, SyntaxError):
        return  # What comes before the break counts; such a file is reported as one that does not parse.
