"""Where in the source something was that a run tells of by ``file:line``."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable
from pathlib import Path

from pyro_fix.analysis.program import Program
from pyro_fix.analysis.scopes import Module
from pyro_fix.observation import Observation


def place(program: Program, run: Observation, where: Iterable[str]) -> tuple[Module, ast.expr] | None:
    """The first of these places that lies in a file that findings are wanted in, and the call that stands there."""
    for label in where:
        module, line = _line(program, run, label)
        node = _at(module.tree, line) if module is not None else None
        if module is not None and node is not None:
            return module, node
    return None


def function(program: Program, run: Observation, label: str) -> tuple[Module, ast.FunctionDef] | None:
    """The function that begins, with its decorators, where a run says."""
    module, line = _line(program, run, label)
    if module is None:
        return None
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first == line:
                return module, node
    return None


def _line(program: Program, run: Observation, label: str) -> tuple[Module | None, int]:
    """The file of a ``file:line``, where findings are wanted in it, and the line."""
    path, _, line = label.rpartition(":")
    if not path or not line.isdigit():
        return None, 0
    real = os.path.realpath(Path(run.cwd, path))
    module = next((m for m in program.modules.values() if os.path.realpath(m.path) == real), None)
    return module if module is not None and module.path in program.asked else None, int(line)


def _at(tree: ast.AST, line: int) -> ast.expr | None:
    """The outermost call that begins in a line; the innermost expression round it where none does."""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    calls = [node for node in around if isinstance(node, ast.Call) and node.lineno == line]
    if calls:
        return max(calls, key=_size)
    return min(around, key=_size, default=None)


def _size(node: ast.expr) -> tuple[int, int]:
    return (node.end_lineno or node.lineno) - node.lineno, (node.end_col_offset or 0) - node.col_offset
