"""Find, read and write Python files and notebooks.  Encoding, byte order mark and newlines survive a round trip."""

from __future__ import annotations

import ast
import io
import tokenize
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

#: Folders that never hold the user's own source.
SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "node_modules", "site-packages", "build", "dist", "venv", ".venv", ".git", ".tox", ".nox", ".eggs"}
)

NOTEBOOK = ".ipynb"


class SourceError(Exception):
    """A file that cannot be read as Python source; the message is one line for the user."""


@dataclass(frozen=True)
class Source:
    r"""The text of one Python file, or of a notebook (see :mod:`pyro_fix.notebook`).

    ``text`` holds the file's own newlines (``\r\n`` stays two characters), so that ``encode(text) == data``.
    """

    path: Path
    data: bytes
    encoding: str
    text: str

    def encode(self, text: str) -> bytes:
        """Turn a new text into bytes the way this file was written."""
        return text.encode(self.encoding)

    def raw(self, text: str) -> str:
        """The characters of the file when ``text`` is its text."""
        return text

    @property
    def code(self) -> str:
        """What Python reads of the text: each node of its tree stands where the same characters stand in the text."""
        return self.text

    def parse(self) -> ast.Module:
        """The syntax tree; raises SyntaxError or ValueError."""
        return ast.parse(self.data, str(self.path))

    def check(self, text: str) -> None:
        """Raise SyntaxError or ValueError where Python cannot read ``text`` in the place of this one."""
        ast.parse(self.encode(text), str(self.path))

    def place(self, line: int) -> tuple[int | None, int]:
        """The cell of a notebook that holds a line of the text, and the line in it; None in a Python file."""
        return None, line

    def located(self, words: str) -> str:
        """``words`` with what they say of lines of this text, as ``FILE:LINE``, said of a notebook's cells."""
        return words

    def told(self, words: str) -> str:
        """The same of ``line N``, in words that speak of this text."""
        return words

    @property
    def unread(self) -> tuple[tuple[int, str], ...]:
        """The cells of a notebook that cannot be analysed, and why."""
        return ()

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line))
        return starts

    @cached_property
    def lines(self) -> list[str]:
        """The lines with their ends, split exactly where ``ast`` splits them."""
        return io.StringIO(self.text, newline="").readlines()

    @property
    def newline(self) -> str:
        """How the file ends its lines: as its first one."""
        return "\r\n" if self.lines and self.lines[0].endswith("\r\n") else "\n"

    def offset(self, line: int, column: int) -> int:
        """Turn ``ast``'s 1-based line and column in UTF-8 bytes into an offset into ``text``."""
        content = self.lines[line - 1]
        if not content.isascii():
            column = len(content.encode("utf-8")[:column].decode("utf-8"))
        return self._line_starts[line - 1] + column

    def line_of(self, offset: int) -> int:
        """The 1-based line that holds the character at ``offset``."""
        return min(bisect_right(self._line_starts, offset), len(self.lines) or 1)


def read(path: Path) -> Source:
    """Read ``path``; raises :class:`SourceError` where its bytes are no text in the encoding that they declare."""
    return from_bytes(path, read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; raises :class:`SourceError` where they cannot be had."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from error


def from_bytes(path: Path, data: bytes) -> Source:
    """Decode ``data`` as PEP 263 says, or as a notebook by the name of its file."""
    if path.suffix == NOTEBOOK:
        from pyro_fix import notebook  # built on this module, and not needed where there is none

        return notebook.from_bytes(path, data)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return Source(path, data, encoding, data.decode(encoding))
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise SourceError(f"{path}: is not text in its declared encoding: {error}") from error


def discover(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield Python files and notebooks: a file that was named itself always, folders recursively in sorted order.

    Raises :class:`SourceError` for a path that does not exist.
    """
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            found: Iterable[Path] = _walk(path)
        elif path.exists():
            found = (path,)
        else:
            raise SourceError(f"{path}: no such file or folder")
        for file in found:
            if file not in seen:
                seen.add(file)
                yield file


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink() and entry.is_dir():
            continue
        if entry.is_dir():
            if entry.name not in SKIPPED_FOLDERS and not entry.name.startswith("."):
                yield from _walk(entry)
        elif entry.suffix in (".py", NOTEBOOK):
            yield entry
