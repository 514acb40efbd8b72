"""Find, read and write Python files and notebooks.  Encoding, byte order mark and newlines survive a round trip."""

from __future__ import annotations

import ast
import io
import os
import stat
import tokenize
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

#: Folders that never hold the user's own source.
SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "node_modules", "site-packages", "build", "dist", "venv", ".venv", ".git", ".tox", ".nox", ".eggs"}
)

NOTEBOOK = ".ipynb"

#: Larger files are not read: notebooks hold pictures, nothing else that we read comes near.
LARGEST_FILE = 100_000_000
#: Longer code than this (of a notebook: in all its cells) is not analysed.  People write a hundredth of it.
LARGEST_CODE = 2_000_000


class SourceError(Exception):
    """A file that cannot be read as Python source; the message is one line for the user."""


class OddError(SourceError):
    """A file unlike those of any project, or that cannot be treated with care: the exit code tells."""


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
        first = self.lines[0] if self.lines else ""
        return first[len(first.rstrip("\r\n")) :] or "\n"

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
    """The bytes of a file; raises :class:`SourceError` where they cannot be had.

    Only of a regular file: a pipe or a device may never end, and opening it may have effects.
    """
    try:
        if stat.S_ISREG(path.stat().st_mode):
            # without O_NONBLOCK, a pipe that took the file's place meanwhile would have us wait
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
            with os.fdopen(descriptor, "rb") as file:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    data = file.read(LARGEST_FILE + 1)
                    if len(data) > LARGEST_FILE:
                        raise OddError(f"{path}: is larger than {LARGEST_FILE // 1_000_000} MB")
                    return data
    except FileNotFoundError as error:  # a link that leads nowhere, or a file that went as we came
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    except (OSError, ValueError) as error:
        raise OddError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    raise OddError(f"{path}: is no regular file")


def from_bytes(path: Path, data: bytes) -> Source:
    """Decode ``data`` as PEP 263 says, or as a notebook by the name of its file."""
    if path.suffix == NOTEBOOK:
        from pyro_fix import notebook  # built on this module, and not needed where there is none

        return notebook.from_bytes(path, data)
    if len(data) > LARGEST_CODE:
        raise OddError(f"{path}: is longer than {LARGEST_CODE // 1_000_000} MB")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except (SyntaxError, UnicodeDecodeError, LookupError) as error:
        raise SourceError(f"{path}: is not text in its declared encoding: {_one_line(error)}") from error
    except Exception as error:  # codecs for other things than text (``undefined``, ``idna``) raise what they like
        raise OddError(f"{path}: cannot be read in its declared encoding: {_one_line(error)}") from error
    source = Source(path, data, encoding, text)
    if not _comes_back(source):
        raise OddError(f"{path}: its encoding, {encoding}, would not bring back the same bytes")
    return source


def _comes_back(source: Source) -> bool:
    """Whether the text is written the way that it was: else whatever is rewritten would change bytes elsewhere."""
    try:
        return source.encode(source.text) == source.data
    except Exception:  # see above
        return False


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def discover(paths: Iterable[Path], told: Callable[[Path, str], object]) -> Iterator[Path]:
    """Yield Python files and notebooks: a file that was named itself always, folders recursively in sorted order.

    ``told`` hears of each folder that cannot be looked into, and why.  Raises :class:`SourceError` for a path that
    does not exist.
    """
    seen: set[Path] = set()
    for path in paths:
        for file in _walk(path, told) if _is_folder(path) else (path,):
            if file not in seen:
                seen.add(file)
                yield file


def _is_folder(path: Path) -> bool:
    """Whether a path that was named is a folder; what cannot be asked is left to be read, which will say why."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.lexists(path):  # a link that leads nowhere
            return False
        raise SourceError(f"{path}: no such file or folder") from None
    except (OSError, ValueError):
        return False


def _walk(top: Path, told: Callable[[Path, str], object]) -> Iterator[Path]:
    """The files below a folder; links to folders are not followed, and no nesting is too deep."""
    ahead = [(top, True)]
    while ahead:
        path, is_folder = ahead.pop()
        if not is_folder:
            yield path
            continue
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            told(path, f"cannot be read: {error.strerror or error}")
            continue
        for entry in reversed(found):
            if _leads_to_folder(entry, follow=False):
                if entry.name not in SKIPPED_FOLDERS and not entry.name.startswith("."):
                    ahead.append((path / entry.name, True))
            elif Path(entry.name).suffix in (".py", NOTEBOOK) and not _leads_to_folder(entry, follow=True):
                ahead.append((path / entry.name, False))


def _leads_to_folder(entry: os.DirEntry[str], *, follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:  # links in a circle, or a folder that may be listed and not entered: reading will say so
        return False
