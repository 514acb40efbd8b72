"""The shape of loops: whether one may end early, and which variable counts its rounds."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

LoopNode = ast.For | ast.AsyncFor | ast.While
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def ends_early(loop: LoopNode) -> bool:
    """Whether a ``break`` of this very loop, or a ``return`` within it, may end it before its time."""
    return any(isinstance(node, (ast.Break, ast.Return)) for node in _own_jumps(loop))


def _own_jumps(loop: LoopNode) -> Iterator[ast.stmt]:
    """The jumps in a loop that concern it: not those of inner loops and functions."""
    stack: list[tuple[ast.AST, bool]] = [(node, False) for node in loop.body]
    while stack:
        node, is_inner = stack.pop()
        if isinstance(node, _FUNCTIONS):
            continue
        if isinstance(node, ast.Return) or (isinstance(node, (ast.Break, ast.Continue)) and not is_inner):
            yield node
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            stack += [(inner, True) for inner in node.body]
            stack += [(inner, is_inner) for inner in node.orelse]
        elif isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            stack += [(inner, is_inner) for inner in ast.iter_child_nodes(node)]


@dataclass(frozen=True)
class Counter:
    """The variable of ``while name < limit`` that grows by one in every round."""

    name: str
    limit: ast.expr
    inclusive: bool
    """Whether the last round is the one in which it equals the limit."""

    def is_moved(self, assigned: Collection[str]) -> bool:
        """Whether a loop that assigns these names changes the limit as it goes."""
        return any(isinstance(node, ast.Name) and node.id in assigned for node in ast.walk(self.limit))


def counter(loop: ast.While) -> Counter | None:
    """What counts the rounds of a ``while`` loop; ``None`` when that is not plain to see."""
    test = loop.test
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    left, operator, right = test.left, test.ops[0], test.comparators[0]
    if isinstance(operator, (ast.Gt, ast.GtE)):
        left, right = right, left
    elif not isinstance(operator, (ast.Lt, ast.LtE)):
        return None
    if not isinstance(left, ast.Name) or not _is_steady(right, loop):
        return None
    increments = [node for node in loop.body if _is_increment(node, left.id)]
    stores = [
        node
        for node in ast.walk(loop)
        if isinstance(node, ast.Name) and node.id == left.id and not isinstance(node.ctx, ast.Load)
    ]
    if len(increments) != 1 or len(stores) != 1 or any(isinstance(node, ast.Continue) for node in _own_jumps(loop)):
        return None
    return Counter(left.id, right, isinstance(operator, (ast.LtE, ast.GtE)))


def _is_increment(node: ast.stmt, name: str) -> bool:
    return (
        isinstance(node, ast.AugAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id == name
        and isinstance(node.op, ast.Add)
        and isinstance(node.value, ast.Constant)
        and type(node.value.value) is int
        and node.value.value == 1
    )


def _is_steady(limit: ast.expr, loop: ast.While) -> bool:
    """Whether a limit is made of names, attributes and numbers, and no attribute of such a name is set in the loop."""
    nodes = [node for node in ast.walk(limit) if isinstance(node, ast.expr)]
    if not all(isinstance(node, (ast.Name, ast.Attribute, ast.Constant, ast.BinOp)) for node in nodes):
        return False
    attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return not any(
        isinstance(node, ast.Attribute) and node.attr in attributes and not isinstance(node.ctx, ast.Load)
        for node in ast.walk(loop)
    )
