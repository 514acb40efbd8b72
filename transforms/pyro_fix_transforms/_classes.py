"""What transforms share that put one class of Pyro in the place of another: its name, and imports left over."""

from __future__ import annotations

import ast

from pyro_fix import edits, imports
from pyro_fix.analysis.names import canonical
from pyro_fix.analysis.scopes import Scope
from pyro_fix.analysis.values import Library, Made
from pyro_fix.transform import Edit


def renamed(made: Made, name: str) -> tuple[Edit, ...] | None:
    """Edits that make ``made`` an object of the library's class ``name`` (``pyro.optim.ClippedAdam``).

    The arguments stay.  ``None`` where that name cannot be reached.
    """
    callee, module = made.node.func, made.module
    package, _, short = name.rpartition(".")
    if isinstance(callee, ast.Attribute) and _library(made.scope, callee.value) == package:
        return (edits.rename(module, callee, short),)
    there = imports.reference(module, made.scope, name, made.node)
    is_bound = there is not None and not there.edits and "." not in there.text
    if isinstance(callee, ast.Name) and not is_bound and made.scope.lookup(short) is None:
        alias = _only_import(made, callee, package)
        if alias is not None:
            return edits.replace_alias(module, alias, short), edits.replace(module, callee, short)
    if there is None:
        return None
    return (*there.edits, edits.replace(module, callee, there.text))


def _library(scope: Scope, node: ast.expr) -> str | None:
    """The dotted name of a library that a name or an attribute stands for."""
    if isinstance(node, ast.Name):
        value = scope.lookup(node.id)
        return value.name if isinstance(value, Library) else None
    if isinstance(node, ast.Attribute) and (base := _library(scope, node.value)) is not None:
        return canonical(f"{base}.{node.attr}")
    return None


def _only_import(made: Made, callee: ast.Name, package: str) -> ast.alias | None:
    """The import of a class that nothing but ``made`` uses: it would be left over."""
    if made.module.mentions[callee.id] != 1 or "__all__" in made.module.scope.names:
        return None
    for statement in made.module.tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == package:
            for alias in statement.names:
                if alias.name == callee.id and alias.asname is None:
                    return alias
    return None
