"""Anything as text of a page."""

from __future__ import annotations

from html import escape

from pyro_fix.visible import visible


def plain(value: object) -> str:
    """What comes from a repository can neither be markup nor hide."""
    return escape(visible(str(value)))
