"""Count how often marked lines run, by a call put in front of their statements when a file is compiled."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from .journal import Journal

#: The counter's name in ``builtins``, where every module of the program finds it.
COUNTER = "__pyro_fix_hit__"


class Counter:
    """Counts of marks, numbered over all files."""

    def __init__(self, journal: Journal) -> None:
        """Report to ``journal``."""
        self._journal = journal
        self._labels: list[str] = []
        self._fresh: list[int] = []
        self._reported: set[int] = set()

    def install(self) -> None:
        """Make the counter visible to the program."""
        setattr(builtins, COUNTER, self._hit)

    def number(self, label: str) -> int:
        """The number that stands for a new mark."""
        self._labels.append(label)
        self._fresh.append(0)
        return len(self._labels) - 1

    def _hit(self, number: int) -> None:
        self._fresh[number] += 1
        if number not in self._reported:
            # At once: whatever kills the program later, this line has run.
            self.flush()

    def flush(self) -> None:
        """Report what was counted since the last report."""
        counts: dict[str, int] = {}
        for number, count in enumerate(self._fresh):
            if count:
                counts[self._labels[number]] = counts.get(self._labels[number], 0) + count
                self._reported.add(number)
                self._fresh[number] = 0
        if counts:
            self._journal.write("hits", counts=counts)


def insert(tree: ast.Module, marks: dict[int, int]) -> None:
    """Put a counter call before the innermost statement on each marked line (line -> number of the mark).

    The calls take their statement's place in the source, so tracebacks and ``inspect`` are unaffected; docstrings and
    ``from __future__`` stay first.
    """
    places = [(*found, number) for line, number in marks.items() for found in [_place(tree, line)] if found]
    # From the back, so that earlier indices of the same list stay true.
    for body, index, number in sorted(places, key=lambda place: -place[1]):
        statement = body[index]
        at = index
        while at < len(body) and _must_stay_first(body, at):
            at += 1
        body.insert(at, _call(statement, number))


def _call(statement: ast.stmt, number: int) -> ast.stmt:
    call = ast.Expr(ast.Call(ast.Name(COUNTER, ast.Load()), [ast.Constant(number)], []))
    for node in ast.walk(call):
        if isinstance(node, (ast.expr, ast.stmt)):
            ast.copy_location(node, statement)
    return call


def _must_stay_first(body: list[ast.stmt], index: int) -> bool:
    statement = body[index]
    if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
        return True
    # A string in front of which a call stands is no docstring any more.
    return index == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _bodies(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The lists of statements directly inside ``node`` (those of its handlers and cases included)."""
    for name in ("body", "orelse", "finalbody"):
        body = getattr(node, name, None)
        if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
            yield body
    for name in ("handlers", "cases"):
        for part in getattr(node, name, ()):
            yield from _bodies(part)


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _place(node: ast.AST, line: int) -> tuple[list[ast.stmt], int] | None:
    """The innermost statement that holds ``line``; for a line between statements the next one, or the last."""
    nearest = None
    for body in _bodies(node):
        for index, statement in enumerate(body):
            if _first_line(statement) <= line <= (statement.end_lineno or statement.lineno):
                return _inside(statement, line) or (body, index)
        if isinstance(node, ast.Module):
            nearest = body, next((i for i, s in enumerate(body) if _first_line(s) > line), len(body) - 1)
    return nearest


def _inside(statement: ast.stmt, line: int) -> tuple[list[ast.stmt], int] | None:
    if any(_first_line(s) <= line <= (s.end_lineno or s.lineno) for body in _bodies(statement) for s in body):
        return _place(statement, line)
    return None
