"""What the transforms of tip 7 share: writing smaller constants."""

from __future__ import annotations

import ast
from collections.abc import Callable

from pyro_fix import edits
from pyro_fix.analysis.scopes import Module
from pyro_fix.transform import Candidate, Edit, Number

#: Standard deviations to try, best known first.  Source: tip 7 (0.05) and its neighbours.
LADDER = (0.1, 0.05, 0.01)
#: The least that makes sense; the greatest is the ladder's, since from there on a scale is found again.
LEAST = 0.001
#: Methods of a tensor that leave its elements as they are.
MOVING = frozenset({"to", "cuda", "cpu", "expand", "clone"})


def sizes(candidate: Callable[[float, tuple[Number, ...]], Candidate | None]) -> tuple[Candidate, ...]:
    """Candidates for the sizes of the ladder; others may take their place."""

    def sized(size: float) -> Candidate | None:
        return candidate(size, (Number("initial scale", size, LEAST, LADDER[0], sized),))

    return tuple(filter(None, map(sized, LADDER)))


def constants(node: ast.expr) -> list[ast.expr] | None:
    """The literals that say how large a tensor expression is; ``None`` when it is not of a form that is understood.

    ``torch.tensor(5.0)``, ``torch.tensor([5.0, 3.0])``, ``torch.full((k,), 5.0)``, ``5.0 * torch.ones(k)``; a
    ``.to(…)`` behind any of them, or a ``lambda:`` in front.
    """
    if isinstance(node, ast.Lambda):
        return constants(node.body)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        for factor, other in ((node.left, node.right), (node.right, node.left)):
            if _is_number(factor) and isinstance(other, ast.Call) and _called(other) in ("ones", "ones_like"):
                return [factor]
        return None
    if not isinstance(node, ast.Call):
        return None
    name = _called(node)
    if name in ("tensor", "as_tensor") and node.args:
        return _floats(node.args[0])
    if name in ("full", "full_like") and len(node.args) == 2 and _is_number(node.args[1]):
        return [node.args[1]]
    if name in MOVING and isinstance(node.func, ast.Attribute):
        return constants(node.func.value)
    return None


def constant_name(node: ast.expr) -> ast.Name | None:
    """The name that says how large a tensor expression is: ``torch.tensor(wide)``, ``wide * torch.ones(k)``."""
    if isinstance(node, ast.Lambda):
        return constant_name(node.body)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        for factor, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(factor, ast.Name) and isinstance(other, ast.Call) and _called(other) in ("ones", "ones_like"):
                return factor
        return None
    if not isinstance(node, ast.Call):
        return None
    name = _called(node)
    if name in ("tensor", "as_tensor") and node.args:
        return node.args[0] if isinstance(node.args[0], ast.Name) else None
    if name in ("full", "full_like") and len(node.args) == 2:
        return node.args[1] if isinstance(node.args[1], ast.Name) else None
    if name in MOVING and isinstance(node.func, ast.Attribute):
        return constant_name(node.func.value)
    return None


def assigned_once(module: Module, name: str) -> ast.Constant | None:
    """The number that the only assignment to ``name`` in a file gives it, a ``float``."""
    found = [
        node
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load))
        or (isinstance(node, ast.arg) and node.arg == name)
    ]
    plain = [
        node.value
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and node.targets[0] in found
    ]
    if len(found) != 1 or len(plain) != 1:
        return None
    (value,) = plain
    return value if isinstance(value, ast.Constant) and isinstance(value.value, float) else None


def shrunk(module: Module, node: ast.expr | None, size: float) -> tuple[Edit, ...] | None:
    """Edits that make every element of a tensor expression ``size``; ``None`` where it is not understood.

    ``torch.ones(k)`` becomes ``0.1 * torch.ones(k)``.
    """
    if node is None:
        return None
    literals = constants(node)
    if literals is not None:
        return tuple(edits.replace(module, literal, repr(size)) for literal in literals)
    ones = _ones(node)
    if ones is None:
        return None
    start, end = edits.span(module.source, ones)
    change = Edit(module.path, start, start, f"{size!r} * ")
    if any(isinstance(part, ast.keyword) and part.arg == "requires_grad" for part in ast.walk(ones)):
        return change, Edit(module.path, end, end, ".detach()")  # a product of a leaf is none, and cannot be trained
    return (change,)


def _ones(node: ast.expr) -> ast.expr | None:
    """Where an expression begins that is ones and nothing else, perhaps behind a ``lambda:``."""
    if isinstance(node, ast.Lambda):
        return _ones(node.body)
    inner = node
    while isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr in MOVING:
        inner = inner.func.value
    return node if isinstance(inner, ast.Call) and _called(inner) in ("ones", "ones_like") else None


def _floats(node: ast.expr) -> list[ast.expr] | None:
    """The numbers of a literal or a nested list of them; an integer would change the dtype, so it does not count."""
    if isinstance(node, (ast.List, ast.Tuple)):
        inner = [_floats(element) for element in node.elts]
        return [n for numbers in inner if numbers for n in numbers] if all(inner) and inner else None
    return [node] if isinstance(node, ast.Constant) and isinstance(node.value, float) else None


def _is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool)


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
