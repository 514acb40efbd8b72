"""Jupyter notebooks: their cells of code as one text that is analysed, edited and run like a Python file's.

The text is the code of the cells in their order, each below a line that names it::

    # coding: utf-8
    # %% [cell 2]
    import pyro
    # %% [cell 5]
    %matplotlib inline

Edits of that text are spelled into the JSON of the file (``layout``); Python reads it without what only IPython
understands (``magics``).
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pyro_fix.notebook import layout, magics
from pyro_fix.notebook.layout import Cell, LayoutError
from pyro_fix.sources import LARGEST_CODE, OddError, Source, SourceError, read_bytes

_BOM = b"\xef\xbb\xbf"
#: The text is run as UTF-8, whatever a comment in the first cell says.
_HEADER = "# coding: utf-8\n"


@dataclass(frozen=True)
class Notebook(Source):
    """A notebook; ``text`` is the code of its cells (see above), ``data`` the file."""

    json: str
    cells: tuple[Cell, ...]
    mark: str
    """What the lines that name a cell begin with: nothing else in the notebook does."""

    def encode(self, text: str) -> bytes:
        """The notebook's file with the code of ``text`` in its cells.

        Raises ValueError where the text has lost a line that names a cell.
        """
        return self.raw(text).encode(self.encoding)

    def raw(self, text: str) -> str:
        """The same as characters, without a byte order mark."""
        if text == self.text:
            return self.json
        pieces, at = [], 0
        for cell, content in zip(self.cells, self._contents(text), strict=True):
            if content != cell.text:
                pieces += [self.json[at : cell.start], layout.rewritten(self.json, cell, content)]
                at = cell.end
        return "".join([*pieces, self.json[at:]])

    @cached_property
    def code(self) -> str:  # asked for once a finding
        """The text as Python can read it: the same lines, each node in the same place."""
        return self._joined([cell.code for cell in self._masked])

    @property
    def runnable(self) -> bytes:
        """A program with the text's lines that does what running all cells in their order does."""
        return self._joined([cell.runs for cell in self._masked]).encode("utf-8")

    def parse(self) -> ast.Module:
        """The syntax tree of :attr:`code`."""
        return ast.parse(self.code, str(self.path))

    def check(self, text: str) -> None:
        """Raise SyntaxError or ValueError where a cell that could be read cannot be read any more."""
        for cell, was, content in zip(self.cells, self._masked, self._contents(text), strict=True):
            if content != cell.text and not was.error and (error := magics.masked(content).error):
                raise SyntaxError(f"cell {cell.number}: {error}")

    def place(self, line: int) -> tuple[int | None, int]:
        """The number of the cell that holds a line of the text, and the line in it."""
        index = max(bisect_right(self._starts, line) - 1, 0)
        if not self.cells:
            return None, line
        return self.cells[index].number, max(line - self._starts[index], 1)

    def located(self, words: str) -> str:
        """``words`` with ``cell 7:3`` in the place of the text's lines."""

        def place(match: re.Match[str]) -> str:
            cell, line = self.place(int(match[1]))
            return f"{self.path.name}:cell {cell}:{line}"

        return re.sub(rf"(?<![\w.-]){re.escape(self.path.name)}:(\d+)\b", place, words)

    def told(self, words: str) -> str:
        """``words`` with ``line 3 of cell 7`` in the place of the text's lines."""

        def place(match: re.Match[str]) -> str:
            cell, line = self.place(int(match[1]))
            return f"line {line} of cell {cell}"

        return re.sub(r"\bline (\d+)\b", place, words)

    @property
    def unread(self) -> tuple[tuple[int, str], ...]:
        """The cells that cannot be analysed, and why."""
        return tuple(
            (cell.number, f"cannot be parsed: {masked.error}")
            for cell, masked in zip(self.cells, self._masked, strict=True)
            if masked.error
        )

    @property
    def newline(self) -> str:
        """How the cells end their lines."""
        return "\r\n" if any("\r\n" in cell.text for cell in self.cells) else "\n"  # the line ends of the text are ours

    @cached_property
    def _masked(self) -> list[magics.Masked]:
        return [magics.masked(cell.text) for cell in self.cells]

    @cached_property
    def _starts(self) -> list[int]:
        """The lines that name the cells."""
        return [number for number, line in enumerate(self.lines, 1) if line.startswith(self.mark)]

    def _joined(self, contents: Sequence[str]) -> str:
        return _text(self.mark, self.cells, contents)

    def _contents(self, text: str) -> list[str]:
        """The code of the cells in a text; raises ValueError unless it has the lines that name them."""
        found = re.split(rf"(?m)^{re.escape(self.mark)}(\d+)\]\n", text)
        if found[0] != _HEADER or [int(number) for number in found[1::2]] != [cell.number for cell in self.cells]:
            raise ValueError(f"{self.path}: a line between two cells was edited")
        return [content.removesuffix("\n") for content in found[2::2]]


def read(path: Path) -> Notebook:
    """Read a notebook's file; raises :class:`SourceError`."""
    return from_bytes(path, read_bytes(path))


def from_bytes(path: Path, data: bytes) -> Notebook:
    """Read a notebook; raises :class:`SourceError` for what is none, or holds no Python."""
    encoding = "utf-8-sig" if data.startswith(_BOM) else "utf-8"
    try:
        json = data.decode(encoding)
        found = layout.read(json)
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: is not UTF-8: {error}") from error
    except LayoutError as error:
        raise SourceError(f"{path}: {error}") from error
    if found.language and not re.fullmatch(r"i?python\d*", found.language):
        raise SourceError(f"{path}: its cells are written in {found.language}")
    if sum(len(cell.text) for cell in found.cells) > LARGEST_CODE:
        raise OddError(f"{path}: has more than {LARGEST_CODE // 1_000_000} MB of code")
    mark = "# %% [cell "
    while any(mark in cell.text for cell in found.cells):
        mark = mark.replace("%", "%%", 1)
    text = _text(mark, found.cells, [cell.text for cell in found.cells])
    return Notebook(path, data, encoding, text, json, found.cells, mark)


def _text(mark: str, cells: Sequence[Cell], contents: Sequence[str]) -> str:
    blocks = (f"{mark}{cell.number}]\n{content}\n" for cell, content in zip(cells, contents, strict=True))
    return _HEADER + "".join(blocks)
