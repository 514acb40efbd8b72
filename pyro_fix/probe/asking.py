"""Hears of questions that an object is not asked itself: which one it is, and of what kind.

``x is None`` and ``type(x)`` call nothing of ``x``.  Where there are stand-ins, the user's own sources are compiled
with calls in their places.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from typing import Any

from .marked import Marked

#: Names of ours among the builtins, where every module finds them.
_IS, _ASKS = "__pyro_fix_is__", "__pyro_fix_asks__"
#: Builtins whose answer says something of what they are given, and has no mark.
_QUESTIONS = ("callable", "hasattr", "id", "isinstance", "issubclass", "type")


def install(lost: Callable[[Any, str], None]) -> None:
    """Have ``lost`` hear of questions about stand-ins, with the word that asks."""

    def is_one(left: Any, right: Any) -> bool:
        for side in (left, right):
            if isinstance(side, Marked):
                lost(side, "is")
        return left is right

    def asks(question: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Marked):
            lost(args[0], f"{getattr(question, '__name__', 'a question')}()")
        return question(*args, **kwargs)

    setattr(builtins, _IS, is_one)
    setattr(builtins, _ASKS, asks)


def insert(tree: ast.Module) -> None:
    """Put the calls into a source's tree; they take the places of what they stand for."""
    _Questions().visit(tree)


class _Questions(ast.NodeTransformer):
    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if len(node.ops) != 1 or not isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            return node
        asked = _call(node, _IS, [node.left, node.comparators[0]])
        return asked if isinstance(node.ops[0], ast.Is) else ast.copy_location(ast.UnaryOp(ast.Not(), asked), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in _QUESTIONS and node.args:
            return _call(node, _ASKS, [node.func, *node.args], node.keywords)
        return node


def _call(node: ast.expr, name: str, args: list[ast.expr], keywords: list[ast.keyword] | None = None) -> ast.Call:
    func = ast.copy_location(ast.Name(name, ast.Load()), node)
    return ast.copy_location(ast.Call(func, args, keywords or []), node)
