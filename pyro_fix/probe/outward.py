"""Whether what a statement makes of a stand-in goes nowhere but to stand-ins and to what is printed.

A plain number or text has no mark that could be followed.  So the statement that makes one of a stand-in is read: one
that only prints or draws, such as ``plt.title(f"{score:.2f}")``, keeps nothing of it.  What is not understood keeps it.
"""

from __future__ import annotations

import ast
import builtins
import functools
import linecache
import math
import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any

from . import passing
from .marked import Marked

#: Builtins that do nothing but compute what they return.
_PURE = {
    *("abs", "bool", "complex", "dict", "divmod", "enumerate", "float", "format", "int", "len", "list", "max", "min"),
    *("pow", "range", "repr", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip"),
}
#: Methods of texts.
_OF_TEXT = frozenset(("format", "join", "ljust", "lower", "rjust", "strip", "title", "upper"))
#: Parts of names of functions in numpy and torch that do more than to compute.
_DOES = ("seed", "set_", "save", "load", "random", "rand", "fill", "put", "copyto")
_STRANGE = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom, ast.Lambda)
#: What a loop over a stand-in, or a condition on one, is known to be without having been bound yet.
_SINK = object()

_Definition = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def keeps_nothing(frame: FrameType) -> bool:
    """Whether the statements on the line that ``frame`` is at only print, draw or log."""
    statements = _file(frame.f_code.co_filename).statements.get(frame.f_lineno)
    if not statements:
        return False
    reader = _Reader(frame)
    return all(reader.is_outward(statement, itself=True) for statement in statements)


def place(path: str, line: int) -> tuple[str, int]:
    """What the statements on a line are known by, whichever of their lines it is."""
    return path, min([statement.lineno for statement in _file(path).statements.get(line, ())], default=line)


def decorates(frame: FrameType) -> bool:
    """Whether the line that ``frame`` is at holds decorators."""
    return frame.f_lineno in _file(frame.f_code.co_filename).decorators


def asserts(frame: FrameType) -> bool:
    """Whether the line that ``frame`` is at asserts something plain: a program that goes on has found it so."""
    statements = _file(frame.f_code.co_filename).statements.get(frame.f_lineno, [])
    if len(statements) != 1 or not isinstance(statements[0], ast.Assert):
        return False
    test = statements[0].test
    asked = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
    if isinstance(test, ast.Compare):
        return len(test.ops) == 1 and isinstance(test.ops[0], asked) and _Reader(frame).is_harmless(test)
    return isinstance(test, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)) and _Reader(frame).is_harmless(test)


def catches(frame: FrameType) -> bool:
    """Whether the statement that ``frame`` is at lies where the program itself deals with a missing module."""
    return frame.f_lineno in _file(frame.f_code.co_filename).guarded


class _File:
    """What has to be known of the lines of one source."""

    def __init__(self, path: str) -> None:
        self.statements: dict[int, list[ast.stmt]] = {}
        self.decorators: set[int] = set()
        self.loose: set[str] = set()
        """Names that are read elsewhere than in the loops and functions that bind them."""
        self.guarded: set[int] = set()
        try:
            tree = ast.parse("".join(linecache.getlines(path)))
        except (SyntaxError, ValueError, RecursionError):
            return
        reads = _Reads()
        reads.visit(tree)
        self.loose = reads.loose
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt):
                for line in _own_lines(node):
                    self.statements.setdefault(line, []).append(node)
            if isinstance(node, _Definition) and node.decorator_list:
                self.decorators.add(node.lineno)  # before Python 3.11
                for one in node.decorator_list:
                    self.decorators.update(range(one.lineno, (one.end_lineno or one.lineno) + 1))
            if _guards(node):
                for inner in node.body:  # type: ignore[attr-defined]
                    self.guarded.update(range(inner.lineno, (inner.end_lineno or inner.lineno) + 1))


class _Reads(ast.NodeVisitor):
    """Finds the names that are read where nothing round them has bound them anew."""

    def __init__(self) -> None:
        self.loose: set[str] = set()
        self._bound: list[str] = []

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and node.id not in self._bound:
            self.loose.add(node.id)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.loose.update(_names(node.target))
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        names = list(_names(node.target))
        self.loose.update(name for name in names if name in self._bound)
        self._within(names, node.body)
        self._within((), node.orelse)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self._comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self._comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self._comprehension(node)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        self.visit(node.generators[0].iter)
        names = [name for generator in node.generators for name in _names(generator.target)]
        self._within(names, ast.iter_child_nodes(node))

    def _within(self, names: Iterable[str], nodes: Iterable[ast.AST]) -> None:
        kept, self._bound = self._bound, [*self._bound, *names]
        for node in nodes:
            self.visit(node)
        self._bound = kept


@functools.lru_cache(maxsize=256)
def _file(path: str) -> _File:
    return _File(path)


def _own_lines(node: ast.stmt) -> range:
    """The lines of a statement, without those of the statements in it."""
    body = getattr(node, "body", None)
    end = node.end_lineno or node.lineno
    if isinstance(body, list) and body:
        end = max(node.lineno, min(_first_line(inner) for inner in body) - 1)
    return range(node.lineno, end + 1)


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, _Definition) else []
    return min([node.lineno, *(one.lineno for one in decorators)])


def _guards(node: ast.AST) -> bool:
    """Whether what fails to be imported in the body of ``node`` does not end the program."""
    if isinstance(node, (ast.With, ast.AsyncWith)):
        calls = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
        return any(_last(call.func) in ("suppress", "raises") for call in calls)
    return isinstance(node, ast.Try) and any(
        handler.type is None or any(_last(kind) in _CAUGHT for kind in _kinds(handler.type))
        for handler in node.handlers
        if not _gives_up(handler)
    )


_CAUGHT = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")


def _gives_up(handler: ast.ExceptHandler) -> bool:
    """Whether a handler ends the program all the same."""
    end = handler.body[-1]
    if isinstance(end, ast.Raise):
        return True
    call = end.value if isinstance(end, ast.Expr) else None
    return isinstance(call, ast.Call) and _last(call.func) in ("exit", "quit", "_exit", "abort")


def _kinds(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _last(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


class _Reader:
    """Reads statements with the names that one frame sees."""

    def __init__(self, frame: FrameType) -> None:
        self._spaces = (frame.f_locals, frame.f_globals, vars(builtins))
        self._loose = _file(frame.f_code.co_filename).loose
        self._sinks: set[str] = set()
        self._loops = 0

    def is_outward(self, node: ast.stmt, *, itself: bool = False) -> bool:
        """Whether a statement changes nothing but what is shown; ``itself``: and is run in any case."""
        if isinstance(node, (ast.Pass, ast.Break, ast.Continue)):
            return isinstance(node, ast.Pass) or self._loops > 0
        if isinstance(node, ast.Expr):
            return self._goes_out(node.value)
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            return self._is_drawn(node, itself)
        if isinstance(node, ast.If):
            return self.is_harmless(node.test) and self._all([*node.body, *node.orelse])
        if isinstance(node, ast.While):
            return self.is_harmless(node.test) and self._loops_over(node)
        if isinstance(node, ast.For):
            free = all(self._is_loops(part) for part in _parts(node.target))
            self._bind(node.target, node.iter)
            return free and self.is_harmless(node.iter) and self._loops_over(node)
        if isinstance(node, ast.With):
            if not all(self._is_sink(item.context_expr) for item in node.items):
                return False
            for item in node.items:
                if item.optional_vars is not None:
                    self._sinks.update(_names(item.optional_vars))
            return itself or self._all(node.body)
        return False

    def _loops_over(self, node: ast.For | ast.While) -> bool:
        self._loops += 1
        inner = self._all(node.body)
        self._loops -= 1
        return inner and self._all(node.orelse)

    def _all(self, body: list[ast.stmt]) -> bool:
        return all([self.is_outward(node) for node in body])

    def _goes_out(self, node: ast.expr) -> bool:
        if not isinstance(node, ast.Call):
            return self.is_harmless(node)
        parts = [*node.args, *(keyword.value for keyword in node.keywords)]
        return (self._is_sink(node.func) or self._shows(node.func)) and all(map(self.is_harmless, parts))

    def _is_drawn(self, node: ast.Assign | ast.AnnAssign, itself: bool) -> bool:
        """Whether a stand-in makes what is assigned, which has the mark; what may not be run hides nothing plain."""
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if node.value is None or not self._is_sink(node.value) or not self.is_harmless(node.value):
            return False
        for target in targets:
            if not all(self._is_free(part, itself) for part in _parts(target)):
                return False
            self._sinks.update(_names(target))
        return True

    def _is_free(self, target: ast.expr, itself: bool) -> bool:
        """Whether nothing of the program's is lost, or kept, by an assignment to ``target``."""
        if isinstance(target, ast.Name):
            return itself or self._is_sink(target) or not any(target.id in space for space in self._spaces[:2])
        return isinstance(target, (ast.Attribute, ast.Subscript)) and self._is_sink(target.value)

    def _is_loops(self, target: ast.expr) -> bool:
        """Whether nobody misses what a loop binds that makes no turn."""
        if isinstance(target, ast.Name) and target.id not in self._loose:
            return True
        return self._is_free(target, itself=False)

    def _bind(self, target: ast.expr, values: ast.expr) -> None:
        """The names of a loop; where it goes over several things side by side, each has its own."""
        side_by_side = isinstance(values, ast.Call) and _last(values.func) == "zip" and isinstance(target, ast.Tuple)
        if side_by_side:
            for one, value in zip(target.elts, values.args):  # type: ignore[attr-defined]  # noqa: B905
                self._bind(one, value)
            return
        if isinstance(values, ast.Call) and _last(values.func) == "enumerate" and isinstance(target, ast.Tuple):
            self._bind(target.elts[-1], values.args[0] if values.args else values)
            return
        if self._is_sink(values):
            self._sinks.update(_names(target))

    def is_harmless(self, node: ast.expr) -> bool:
        """Whether an expression does nothing but compute its value."""
        return not any(
            isinstance(inner, _STRANGE) or (isinstance(inner, ast.Call) and not self._computes(inner))
            for inner in ast.walk(node)
        )

    def _computes(self, call: ast.Call) -> bool:
        """Whether a call cannot leave what it is given anywhere but in what it returns."""
        given = [*call.args, *(keyword.value for keyword in call.keywords)]
        if all(isinstance(value, ast.Constant) for value in given):
            return True
        func = call.func
        if self._is_sink(func):
            return True
        if isinstance(func, ast.Name):
            return func.id in _PURE and self._find(func) is getattr(builtins, func.id)
        if not isinstance(func, ast.Attribute):
            return False
        if func.attr in _OF_TEXT:
            return True
        library = self._find(func.value)
        known = library is math or any(library is sys.modules.get(name, _SINK) for name in ("numpy", "torch"))
        return known and not func.attr.endswith("_") and not any(part in func.attr for part in _DOES)

    def _is_sink(self, node: ast.expr) -> bool:
        """Whether an expression is a stand-in, or made by one, and does not hand on what it is given."""
        found = self._find(node)
        if found is _SINK or isinstance(found, passing.Bar):
            return True
        return isinstance(found, Marked) and not passing.is_known(found)

    def _shows(self, node: ast.expr) -> bool:
        """Whether it prints or logs."""
        if isinstance(node, ast.Name):
            return node.id == "print" and self._find(node) is print
        if not isinstance(node, ast.Attribute):
            return False
        found = self._find(node.value)
        logging: Any = sys.modules.get("logging")
        if logging is not None and (found is logging or isinstance(found, (logging.Logger, logging.LoggerAdapter))):
            return node.attr in ("debug", "info", "warning", "warn", "error", "critical", "exception", "log")
        return node.attr in ("write", "flush") and (found is sys.stdout or found is sys.stderr)

    def _find(self, node: ast.AST) -> Any:
        """What an expression is, found without running anything; None where that cannot be told."""
        if isinstance(node, ast.Name):
            if node.id in self._sinks:
                return _SINK
            return next((space[node.id] for space in self._spaces if node.id in space), None)
        if isinstance(node, ast.Call):
            made = self._find(node.func)
            return made if made is _SINK or isinstance(made, (Marked, passing.Bar)) else None
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            owner = self._find(node.value)
            if owner is None or owner is _SINK or isinstance(owner, (Marked, passing.Bar)):
                return owner
            return _member(owner, node.attr) if isinstance(node, ast.Attribute) else self._item(owner, node.slice)
        return None

    def _item(self, owner: Any, index: ast.AST) -> Any:
        index = getattr(index, "value", index) if type(index).__name__ == "Index" else index  # before Python 3.9
        key = index.value if isinstance(index, ast.Constant) else self._find(index)
        if type(owner) not in (list, tuple, dict) or type(key) not in (int, str):
            return None
        try:
            return owner[key]
        except (KeyError, IndexError, TypeError):
            return None


def _member(owner: Any, name: str) -> Any:
    """An attribute that lies in an object, or a module, itself."""
    try:
        return object.__getattribute__(owner, "__dict__").get(name)
    except AttributeError:
        return None


def _parts(target: ast.expr) -> list[ast.expr]:
    if isinstance(target, (ast.Tuple, ast.List)):
        return [part for inner in target.elts for part in _parts(inner)]
    return _parts(target.value) if isinstance(target, ast.Starred) else [target]


def _names(target: ast.AST) -> Iterator[str]:
    return (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
