"""Names that are bound at a place for everybody who comes there: on every way, and in a file that is only imported.

What a run of the file as a program binds (below ``if __name__ == "__main__":``) is there for what stands in such a
branch alone; what a branch, a loop or a ``try`` may leave out is there for what stands behind it in the same arm.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = (*FUNCTIONS, ast.ClassDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
#: What may leave out a part of itself.
_CHOOSING = (ast.If, ast.IfExp, ast.BoolOp, ast.Match, ast.Try)
#: Of so many functions and blocks the names are remembered: few are asked for at a time, each at many places.
_KEPT = 256
_EXITS = frozenset({"exit", "sys.exit", "quit", "os._exit", "os.abort"})


def is_main_guard(node: ast.AST) -> bool:
    """Whether a branch is ``if __name__ == "__main__":``."""
    if not isinstance(node, ast.If) or not isinstance(node.test, ast.Compare):
        return False
    test = node.test
    is_name = isinstance(test.left, ast.Name) and test.left.id == "__name__"
    return is_name and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)


def surely_bound(
    owner: ast.AST, place: ast.AST, parents: Mapping[ast.AST, ast.AST], later: bool = False
) -> frozenset[str]:
    """The names of ``owner`` (a module, a class, a function) that are bound when ``place``, a part of it, is run.

    ``later``: the place is a function, which is run by whoever has it, when all round it is done.
    """
    above = [place]
    while above[-1] is not owner and above[-1] in parents:
        above.append(parents[above[-1]])
    main = any(
        isinstance(node, ast.If) and is_main_guard(node) and inner in node.body for inner, node in pairwise(above)
    )
    names = set(parameters(owner))
    for inner, node in pairwise(above):
        if isinstance(node, ast.ClassDef) and node is not owner:
            continue  # whose names are no others'
        names |= _on_the_way(node, inner, main)
        for block in _binding(node, main):
            at = block.places.get(id(inner))
            if at is not None:
                stop = (len(block.bound) if isinstance(owner, ast.Module) else block.until_return(at)) if later else at
                names |= _all(block.bound[:stop]) or set()
    names -= _deleted(owner)
    if later and not main:  # what the file does as a program may give them other values
        names -= _guarded(owner)
    return frozenset(names)


@dataclass(frozen=True)
class _Block:
    """What the statements of a block bind, each by itself; asked for at many places, it is found once."""

    places: Mapping[int, int]
    """Identity of a statement -> its index."""
    bound: Sequence[set[str] | None]
    returns: Sequence[int]
    """Which statements may end the function."""

    def until_return(self, at: int) -> int:
        """The index behind the first statement from ``at`` on that may end the function."""
        return next((index + 1 for index in self.returns if index >= at), len(self.bound))


@lru_cache(maxsize=_KEPT)
def _binding(node: ast.AST, main: bool) -> tuple[_Block, ...]:
    found = []
    for block in _blocks(node):
        places = {id(statement): index for index, statement in enumerate(block)}
        bound = [_statement(statement, main) for statement in block]
        returns = [index for index, statement in enumerate(block) if _may_return(statement)]
        found.append(_Block(places, bound, returns))
    return tuple(found)


def _all(bound: Sequence[set[str] | None]) -> set[str] | None:
    """What all of them bind, one after the other; ``None`` where one of them lets nobody through."""
    known = [names for names in bound if names is not None]
    return set[str]().union(*known) if len(known) == len(bound) else None


@lru_cache(maxsize=_KEPT)
def _deleted(owner: ast.AST) -> frozenset[str]:
    deletes = (node for node in _own(_body(owner)) if isinstance(node, ast.Delete))
    return frozenset(t.id for node in deletes for t in node.targets if isinstance(t, ast.Name))


@lru_cache(maxsize=_KEPT)
def _guarded(owner: ast.AST) -> frozenset[str]:
    return frozenset(_stored(node for node in _own(_body(owner)) if is_main_guard(node)))


@lru_cache(maxsize=_KEPT)
def parameters(owner: ast.AST) -> frozenset[str]:
    """The names that a function is given values for; of anything else none."""
    if not isinstance(owner, FUNCTIONS):
        return frozenset()
    return frozenset(node.arg for node in ast.walk(owner.args) if isinstance(node, ast.arg))


@lru_cache(maxsize=_KEPT)
def local_names(function: ast.AST) -> frozenset[str]:
    """The names that are a function's own variables, wherever in it they are assigned."""
    body = _body(function)
    declared = {n for node in _own(body) if isinstance(node, (ast.Global, ast.Nonlocal)) for n in node.names}
    return parameters(function) | (frozenset(_stored(body)) - declared)


@lru_cache(maxsize=_KEPT)
def surely_read(function: ast.AST) -> frozenset[str]:
    """The names that a function reads itself, other than in a branch: who calls it has them bound."""
    body = _body(function)
    last = next((index for index, statement in enumerate(body) if _may_return(statement)), len(body))
    parts = list(_own(body[: last + 1], _CHOOSING))
    inside = {n.id for n in _bound_within(parts)}
    names = (n for n in parts if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))
    return frozenset(node.id for node in names) - inside


def _body(owner: ast.AST) -> list[ast.AST]:
    body = getattr(owner, "body", [])
    return [*body] if isinstance(body, list) else [body]


def _own(nodes: Iterable[ast.AST], without: tuple[type[ast.AST], ...] = ()) -> Iterator[ast.AST]:
    """What stands in parts of a scope, but for scopes inside it: of these what is run where they stand."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, without):
            continue
        yield node
        waiting += getattr(node, "decorator_list", []) if isinstance(node, _SCOPES) else ast.iter_child_nodes(node)


def _stored(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """The names that are assigned in parts of a scope; those of a comprehension are its own."""
    parts = list(_own(nodes))
    inside = set(_bound_within(parts))
    for part in parts:
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and part not in inside:
            yield part.id
        elif isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield part.name
        elif isinstance(part, (ast.Import, ast.ImportFrom)):
            yield from _imported(part)
        elif isinstance(part, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and part.name:
            yield part.name
        elif isinstance(part, ast.MatchMapping) and part.rest:
            yield part.rest


def _bound_within(parts: Iterable[ast.AST]) -> Iterator[ast.Name]:
    """The names that comprehensions give their elements."""
    found = (generator.target for part in parts if isinstance(part, _COMPREHENSIONS) for generator in part.generators)
    return (node for target in found for node in ast.walk(target) if isinstance(node, ast.Name))


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            yield block


def _may_return(statement: ast.AST) -> bool:
    """Whether a statement may end the function, after which others may have what it defined."""
    return any(isinstance(node, ast.Return) for node in _own([statement]))


def _on_the_way(node: ast.AST, inner: ast.AST, main: bool) -> set[str]:
    """What a compound statement binds before its part ``inner`` is run."""
    if isinstance(node, (ast.For, ast.AsyncFor)) and inner in node.body:
        return _names_in([node.target])
    if isinstance(node, (ast.With, ast.AsyncWith)) and inner in node.body:
        return _names_in(item.optional_vars for item in node.items if item.optional_vars is not None)
    if isinstance(node, (ast.If, ast.While)) and inner is not node.test:
        return _walrus(node.test)
    if isinstance(node, ast.Try) and inner in node.orelse:
        return _sequence(node.body, main) or set()
    if isinstance(node, (ast.ExceptHandler, ast.match_case)) and inner in node.body:
        return set(_stored([node.pattern])) if isinstance(node, ast.match_case) else {node.name} if node.name else set()
    return set()


def _names_in(nodes: Iterable[ast.expr]) -> set[str]:
    parts = (part for node in nodes for part in ast.walk(node))
    return {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _walrus(node: ast.expr) -> set[str]:
    return {node.target.id} if isinstance(node, ast.NamedExpr) else set()


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    return (alias.asname or alias.name.partition(".")[0] for alias in node.names)


def _sequence(block: Sequence[ast.stmt], main: bool) -> set[str] | None:
    """What all ways through a block bind; ``None`` where none comes out at its end."""
    return _all([_statement(statement, main) for statement in block])


def _statement(node: ast.stmt, main: bool) -> set[str] | None:
    if isinstance(node, (ast.Return, ast.Raise, ast.Break, ast.Continue)):
        return None
    if isinstance(node, ast.Assign):
        return _names_in(node.targets)
    if isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        return _names_in([node.target]) if node.value is not None else set()
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return set(_imported(node))
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {node.name}
    if isinstance(node, ast.Expr):
        is_exit = isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in _EXITS
        return None if is_exit else _walrus(node.value)
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return _with(node, main)
    if isinstance(node, ast.If):
        return _if(node, main)
    if isinstance(node, ast.Try):
        ways = [_sequence([*node.body, *node.orelse], main), *(_sequence(h.body, main) for h in node.handlers)]
        return _both(_shared(ways), _sequence(node.finalbody, main))
    if isinstance(node, ast.Match):
        return _shared([*(_sequence(case.body, main) for case in node.cases), *([] if is_complete(node) else [set()])])
    return set()  # a loop may have no rounds


def _if(node: ast.If, main: bool) -> set[str] | None:
    if is_main_guard(node):
        return _sequence(node.body if main else node.orelse, main)
    if ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
        return _sequence(node.orelse, main)
    return _both(_walrus(node.test), _shared([_sequence(node.body, main), _sequence(node.orelse, main)]))


def _with(node: ast.With | ast.AsyncWith, main: bool) -> set[str] | None:
    swallows = any(
        isinstance(item.context_expr, ast.Call) and ast.unparse(item.context_expr.func).endswith("suppress")
        for item in node.items
    )
    opened = _names_in(item.optional_vars for item in node.items if item.optional_vars is not None)
    return opened if swallows else _both(opened, _sequence(node.body, main))


def is_complete(node: ast.Match) -> bool:
    """Whether one of the cases is always met: ``case _``."""
    last = node.cases[-1]
    return isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None


def _shared(ways: Iterable[set[str] | None]) -> set[str] | None:
    """What is bound on all the ways that come out at their ends."""
    out = [way for way in ways if way is not None]
    return set.intersection(*out) if out else None


def _both(first: set[str] | None, second: set[str] | None) -> set[str] | None:
    return None if first is None or second is None else first | second
