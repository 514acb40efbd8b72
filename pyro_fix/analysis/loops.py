"""The shape of loops: whether one may end early, and which variable counts its rounds."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from dataclasses import dataclass

LoopNode = ast.For | ast.AsyncFor | ast.While
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


#: Exceptions that say that something went wrong: whoever catches them and leaves a loop gives up.
_ERRORS = frozenset(
    {"ValueError", "RuntimeError", "ArithmeticError", "FloatingPointError", "ZeroDivisionError", "OverflowError"}
    | {"AssertionError", "NotImplementedError", "MemoryError", "OutOfMemoryError", "LinAlgError", "KeyboardInterrupt"}
)
#: Those that may say anything.
_ANYTHING = frozenset({"Exception", "BaseException"})


def ends_early(loop: LoopNode) -> bool:
    """Whether a ``break`` of this very loop, or a ``return`` within it, may end it before its time.

    One that gives up, because of an exception or a number that is not finite, is no early stop: there is no other end.
    """
    return any(isinstance(node, (ast.Break, ast.Return)) for node in _own_jumps(loop, give_up=False))


def gives_up(statement: ast.Try) -> bool:
    """Whether a ``try`` has a handler of errors that leaves the loop round it."""
    aborts = [handler for handler in statement.handlers if _is_abort(statement, handler)]
    return any(isinstance(node, (ast.Break, ast.Return)) for handler in aborts for node in ast.walk(handler))


def is_broken(test: ast.expr) -> bool:
    """Whether a condition asks for nothing but whether numbers are not finite: ``torch.isnan(loss)``."""
    if isinstance(test, ast.BoolOp):
        return isinstance(test.op, ast.Or) and all(map(is_broken, test.values))
    wanted = {"isnan", "isinf"}
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, wanted = test.operand, {"isfinite"}
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.func.attr in ("any", "item", "all"):
        test = test.func.value
    name = _last(test.func) if isinstance(test, ast.Call) else ""
    return name in wanted


def _is_abort(statement: ast.Try, handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {"Exception" if one is None else _last(one) for one in caught}
    if not names <= _ERRORS | _ANYTHING:
        return False
    if names <= _ERRORS:
        return True
    # whatever it is that is caught: it must not be how a data set, or the body, says that it is done
    inside = [node for body in statement.body for node in ast.walk(body)]
    return not any(isinstance(n, ast.Raise) or (isinstance(n, ast.Call) and _last(n.func) == "next") for n in inside)


def _last(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _own_jumps(loop: LoopNode, give_up: bool = True) -> Iterator[ast.stmt]:
    """The jumps in a loop that concern it: not those of inner loops and functions.

    ``give_up``: with those that are made where something went wrong.
    """
    stack: list[tuple[ast.AST, bool]] = [(node, False) for node in loop.body]
    while stack:
        node, is_inner = stack.pop()
        if isinstance(node, _FUNCTIONS):
            continue
        if not give_up and isinstance(node, ast.If) and is_broken(node.test):
            stack += [(inner, is_inner) for inner in node.orelse]
            continue
        if not give_up and isinstance(node, ast.Try):
            handlers = [handler for handler in node.handlers if not _is_abort(node, handler)]
            inside = (*node.body, *handlers, *node.orelse, *node.finalbody)
            stack += [(inner, is_inner) for inner in inside]
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
