"""Whether everything that a function may sample is known, and whether it surely samples a site.

A model may call anything: a site that was not found is only known to be missing where every call is understood.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pyro_fix.analysis.names import canonical
from pyro_fix.analysis.values import Function, Instance, Library, ProjectModule

_SAFE = """
    abs all any append argmax argmin bool bmm cat ceil chunk clamp clone contiguous cos cpu cuda cumprod cumsum detach
    diag diagonal dim div double dot eq erf exp expand expand_as expand_by expm1 extend fill_ flatten flip float floor
    format gather ge get gt independent index_select int inverse item items join keys le lgamma log log1p log_softmax
    logsumexp long lower lt mask masked_fill matmul max mean min mm mul mv ndimension new_empty new_full new_ones
    new_tensor new_zeros norm numel permute pow prod relu repeat reshape round rsqrt scatter sigmoid sign sin size
    softmax split sqrt square squeeze stack std sub sum t tanh to to_event tolist transpose type type_as unbind
    unsqueeze upper values var view view_as zero_
"""
#: Methods of tensors, distributions and containers: whatever they are called on, they sample nothing.
_METHODS = frozenset(_SAFE.split())
_LIBRARIES = ("torch.", "math.", "numpy.", "pyro.distributions.", "itertools.", "collections.")
_PYRO = frozenset(
    {"pyro.sample", "pyro.param", "pyro.plate", "pyro.deterministic", "pyro.factor", "pyro.markov", "pyro.plate_stack"}
    | {"pyro.poutine.scale", "pyro.poutine.mask", "pyro.get_param_store", "pyro.subsample"}
)
#: Builtins that may call what they are given, or reach what cannot be seen.
_BUILTINS_THAT_CALL = frozenset({"eval", "exec", "getattr", "map", "filter", "next", "super", "__import__", "reduce"})
_ALWAYS = (ast.With, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return, ast.Tuple, ast.List, ast.Call)
_ALWAYS_PARTS = (ast.keyword, ast.BinOp, ast.UnaryOp, ast.Attribute, ast.Subscript, ast.Starred, ast.withitem)


def is_whole(function: Function) -> bool:
    """Whether every call in a function is understood, so that it samples nothing but the sites that were found."""
    waiting, seen = [function], {function.node}
    while waiting:  # each function that is called is looked at once, however many ways lead to it
        called: list[Function] = []
        if not _is_open(waiting.pop(), called):
            return False
        for other in called:
            if other.node not in seen:
                seen.add(other.node)
                waiting.append(other)
    return True


def _is_open(function: Function, called: list[Function]) -> bool:
    """Whether a function's own calls are understood if those of the functions that it calls, ``called``, are."""
    if function.bound is not None:  # an attribute of a PyroModule may sample when it is read
        return False
    local = set(_local_names(function.node))
    for node in ast.walk(function.node):
        if isinstance(node, ast.Name) and node.id not in local and isinstance(function.scope.lookup(node.id), Instance):
            return False
        if isinstance(node, ast.Call) and not _is_understood(node, function, local, called):
            return False
    return True


def surely_runs(function: ast.AST, call: ast.expr) -> bool:
    """Whether a function that returns has run ``call``: no branch, loop or early return stands in between."""
    body = getattr(function, "body", [])
    nested = (ast.If, ast.For, ast.While, ast.Try, ast.Match)
    for statement in body if isinstance(body, list) else []:
        leaves = isinstance(statement, nested) and any(
            isinstance(inner, (ast.Return, ast.Raise, ast.Yield)) for inner in ast.walk(statement)
        )
        if leaves:
            return False
        if _path_is_plain(statement, call):
            return True
    return False


def _path_is_plain(node: ast.AST, call: ast.expr) -> bool:
    if node is call:
        return True
    if not isinstance(node, (*_ALWAYS, *_ALWAYS_PARTS)):
        return False
    return any(_path_is_plain(child, call) for child in ast.iter_child_nodes(node))


def _local_names(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node is not function:
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)


def _is_understood(call: ast.Call, function: Function, local: set[str], called: list[Function]) -> bool:
    names: list[str] = []
    node = call.func
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id not in local:
        value = function.scope.lookup(node.id)
        while isinstance(value, ProjectModule) and names:
            value = value.attribute(names.pop(0))
        if isinstance(value, Library):
            return _is_harmless(canonical(".".join([value.name, *names])))
        if isinstance(value, Function) and not names:
            called.append(value)
            return not value.decorators
    return bool(names) and names[-1] in _METHODS


def _is_harmless(name: str) -> bool:
    if name.startswith("builtins."):
        return name.removeprefix("builtins.") not in _BUILTINS_THAT_CALL
    return name in _PYRO or name.startswith(_LIBRARIES)
