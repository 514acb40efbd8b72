"""Notebooks in the layouts that programs write, made for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

Cell = tuple[str, str]


def code(text: str) -> Cell:
    return "code", text


def prose(text: str) -> Cell:
    return "markdown", text


def document(cells: Sequence[Cell], *, lines: bool = True, language: str = "python") -> dict[str, Any]:
    """A notebook of format 4; ``lines``: sources are lists of lines."""
    return {
        "cells": [
            {
                "cell_type": kind,
                **({"execution_count": 3} if kind == "code" else {"attachments": {"a.png": {"image/png": "iVBOR="}}}),
                "metadata": {"tags": ["\u00e9"], "source": ["not this one"]},
                **({"outputs": [_OUTPUT]} if kind == "code" else {}),
                "source": text.splitlines(keepends=True) if lines else text,
            }
            for kind, text in cells
        ],
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": language, "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


_OUTPUT = {"name": "stdout", "output_type": "stream", "text": ['pyro.param("s")\n', "\u2028 {[\\ \u00e9\n"]}

#: Name -> what makes bytes of cells.
LAYOUTS = {
    "jupyter": lambda cells: _bytes(document(cells), indent=1),
    "jupyter, no line at the end": lambda cells: _bytes(document(cells), indent=1).rstrip(b"\n"),
    "indent 2, escaped": lambda cells: _bytes(document(cells), indent=2, ensure_ascii=True),
    "indent 4": lambda cells: _bytes(document(cells), indent=4),
    "tabs": lambda cells: _bytes(document(cells), indent="\t"),
    "one line": lambda cells: _bytes(document(cells)),
    "one line, compact": lambda cells: _bytes(document(cells), separators=(",", ":")),
    "source is a string": lambda cells: _bytes(document(cells, lines=False), indent=1),
    "one line of strings": lambda cells: _bytes(document(cells, lines=False), ensure_ascii=True),
    "crlf": lambda cells: _bytes(document(cells), indent=1).replace(b"\n", b"\r\n"),
    "byte order mark": lambda cells: b"\xef\xbb\xbf" + _bytes(document(cells), indent=1),
    "html safe": lambda cells: _bytes(document(cells), indent=1).replace(b"<", b"\\u003c").replace(b"/", b"\\/"),
    "keys sorted": lambda cells: _bytes(document(cells), indent=1, sort_keys=True),
    "odd lines": lambda cells: _bytes(_odd(document(cells)), indent=1),
}


def _bytes(notebook: dict[str, Any], *, ensure_ascii: bool = False, **options: Any) -> bytes:
    return (json.dumps(notebook, ensure_ascii=ensure_ascii, **options) + "\n").encode()


def _odd(notebook: dict[str, Any]) -> dict[str, Any]:
    """Lists whose items are no lines."""
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        cell["source"] = [text[at : at + 7] for at in range(0, len(text), 7)]
    return notebook
