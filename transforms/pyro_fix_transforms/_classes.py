"""What transforms share that put one class of Pyro in the place of another: its name, and imports left over."""

from __future__ import annotations

import ast
import re

from pyro_fix import edits, imports
from pyro_fix.analysis.names import canonical
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.scopes import Module, Scope
from pyro_fix.analysis.values import Library, Made
from pyro_fix.sources import NOTEBOOK
from pyro_fix.transform import Edit

#: Text that may be an annotation, a dotted name or an entry of a namespace.
_NAMING = re.compile(r"[\w.\[\], |]+")


def renamed(program: Program, made: Made, name: str, *, tidy: bool = True) -> tuple[Edit, ...] | None:
    """Edits that make ``made`` an object of the library's class ``name`` (``pyro.optim.ClippedAdam``).

    The arguments stay.  ``None`` where that name cannot be reached.  ``tidy``: an import that nothing uses any more is
    removed, where that is plain.
    """
    callee, module = made.node.func, made.module
    package, _, short = name.rpartition(".")
    if isinstance(callee, ast.Attribute) and _library(made.scope, callee.value) == package:
        return (edits.rename(module, callee, short),)
    there = imports.reference(module, made.scope, name, made.node)
    is_bound = there is not None and not there.edits and "." not in there.text
    left = _left_over(program, made.module, callee.id) if isinstance(callee, ast.Name) else None
    if left is not None and left[0].module == package and not is_bound and made.scope.lookup(short) is None:
        return edits.replace_alias(module, left[1], short), edits.replace(module, callee, short)
    if there is None:
        return None
    changes = (*there.edits, edits.replace(module, callee, there.text))
    removed = edits.remove_alias(module, *left) if left and tidy and module.path.suffix != NOTEBOOK else None
    return (removed, *changes) if removed else changes


def unimported(program: Program, module: Module, gone: ast.expr) -> tuple[Edit, ...]:
    """Edits that remove the imports that nothing uses any more once an expression is gone, where that is plain."""
    if module.path.suffix == NOTEBOOK:
        return ()
    names = dict.fromkeys(node.id for node in ast.walk(gone) if isinstance(node, ast.Name))
    left = [found for name in names if (found := _left_over(program, module, name)) is not None]
    by_statement = dict(left)  # the edits of two names in one statement may touch
    removed = [edits.remove_alias(module, statement, alias) for statement, alias in by_statement.items()]
    return tuple(edit for edit in removed if edit is not None)


def _library(scope: Scope, node: ast.expr) -> str | None:
    """The dotted name of a library that a name or an attribute stands for."""
    if isinstance(node, ast.Name):
        value = scope.lookup(node.id)
        return value.name if isinstance(value, Library) else None
    if isinstance(node, ast.Attribute) and (base := _library(scope, node.value)) is not None:
        return canonical(f"{base}.{node.attr}")
    return None


def _left_over(program: Program, module: Module, name: str) -> tuple[ast.ImportFrom, ast.alias] | None:
    """The import of ``name``, where it would be left over: one place uses it, and nobody imports it from here."""
    if module.mentions[name] != 1 or "__all__" in module.scope.names:
        return None
    if module.path.name == "__init__.py":  # where names are for others
        return None
    found = [
        (statement, alias)
        for statement in ast.walk(module.tree)
        if isinstance(statement, (ast.Import, ast.ImportFrom))
        for alias in statement.names
        if (alias.asname or alias.name) == name
    ]
    if len(found) != 1 or _is_text(module.tree, name):
        return None
    others = [other for other in program.modules.values() if module in other.imports and other is not module]
    if any(_may_take(other.tree, name) for other in others):
        return None
    ((statement, alias),) = found
    return (statement, alias) if isinstance(statement, ast.ImportFrom) and statement in module.tree.body else None


def _is_text(tree: ast.AST, name: str) -> bool:
    """Whether a text may stand for the name: an annotation, ``globals()["Adam"]``."""
    return any(
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _NAMING.fullmatch(node.value) is not None
        and re.search(rf"\b{re.escape(name)}\b", node.value) is not None
        for node in ast.walk(tree)
    )


def _may_take(tree: ast.AST, name: str) -> bool:
    """Whether a file that imports another one may use ``name`` of it."""
    return any(
        (isinstance(node, ast.alias) and node.name in (name, "*"))
        or (isinstance(node, ast.Attribute) and node.attr == name)
        for node in ast.walk(tree)
    )
