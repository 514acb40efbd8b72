"""What a finding is known by from one day to the next, when lines have moved: pull requests remember it."""

from __future__ import annotations

import ast
import contextlib
import hashlib
from collections import Counter
from functools import lru_cache
from pathlib import Path

from pyro_fix.diffs import repository
from pyro_fix.sources import Source


def of(code: str, source: Source, line: int, column: int = 1) -> str:
    """24 hexadecimal digits for a finding of ``code`` at a (1-based) line and column of ``source``, as it is on disk.

    It depends on the file's path in its repository, the function or class that the line is in, the line's text without
    indentation, how many such lines stand before it there, and how much stands before the finding on the line, since
    one line may have several; not on where in the file that is.
    """
    path = source.path.absolute()
    top = Path(repository(str(path.parent)) or Path.cwd())
    path = path.relative_to(top) if path.is_relative_to(top) else path
    lines = _lines(source)
    scope, text, number = lines[line - 1] if 0 < line <= len(lines) else ("", "", line)
    known = "\0".join([code, path.as_posix(), scope, text, str(number), *_before(source, line, column)])
    return hashlib.sha256(known.encode("utf-8", "backslashreplace")).hexdigest()[:24]


def _before(source: Source, line: int, column: int) -> list[str]:
    """How many characters, blanks aside, stand before a column; nothing for what begins its line."""
    before = source.lines[line - 1][: column - 1] if 0 < line <= len(source.lines) else ""
    count = len("".join(before.split()))
    return [str(count)] if count else []


@lru_cache(maxsize=64)
def _lines(source: Source) -> tuple[tuple[str, str, int], ...]:
    """Of each line: the scope that it is in, its words, and how many equal ones of that scope stand before it."""
    scopes = [""] * len(source.lines)
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):  # without a tree all lines are the module's
        _name(source.parse(), "", scopes)
    seen: Counter[tuple[str, str]] = Counter()
    told = []
    for scope, line in zip(scopes, source.lines, strict=True):
        words = " ".join(line.split())
        told.append((scope, words, seen[scope, words]))
        seen[scope, words] += 1
    return tuple(told)


def _name(node: ast.AST, scope: str, scopes: list[str]) -> None:
    """Write the dotted name of every function and class on its lines, inner ones over outer ones."""
    for child in ast.iter_child_nodes(node):
        inner = scope
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            inner = f"{scope}.{child.name}"
            first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
            for line in range(first, (child.end_lineno or child.lineno) + 1):
                scopes[line - 1] = inner
        _name(child, inner, scopes)
