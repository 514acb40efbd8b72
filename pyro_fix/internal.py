"""Errors of ours, which concern one file or transform, and must not end the rest of the job."""

from __future__ import annotations

import os


def told(error: Exception) -> str:
    """An error that is ours, in one line for the user; raised on where a developer asked for that."""
    if os.environ.get("PYRO_FIX_DEBUG"):
        raise error
    if isinstance(error, RecursionError):  # the text's depth, not a fault of its own
        return "is nested too deeply to be analysed"
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return f"internal error: {words.removesuffix(':')} (PYRO_FIX_DEBUG=1 shows where)"
