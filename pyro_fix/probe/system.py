"""The system's own functions: those of ``os`` may have been replaced by ones that show patched files."""

from __future__ import annotations

try:
    from posix import close, fstat, listdir, lstat, open, read
except ImportError:  # Windows, where nothing calls them
    from os import close, fstat, listdir, lstat, open, read

__all__ = ["close", "fstat", "listdir", "lstat", "open", "read"]
