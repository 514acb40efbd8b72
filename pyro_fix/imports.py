"""Reach a name of a library from a place in a file: by what is imported already, or by an import that is added."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pyro_fix.analysis.scopes import Module, Scope
from pyro_fix.analysis.values import Library
from pyro_fix.sources import Source
from pyro_fix.transform import Edit

#: The module that constraints are written with.
CONSTRAINTS = "pyro.distributions.constraints"

#: Packages that ``import pyro`` itself loads, so that ``pyro.poutine`` can be written after it.
_LOADED = frozenset({"pyro.poutine", "pyro.distributions", "pyro.infer", "pyro.optim"})
#: One thing under two names.
_ALIASES = {
    "pyro.distributions": ("pyro.distributions", "torch.distributions"),
    "pyro.distributions.constraints": ("pyro.distributions.constraints", "torch.distributions.constraints"),
}


@dataclass(frozen=True)
class Reference:
    """How to write a name, and the import that has to be added for it."""

    text: str
    edits: tuple[Edit, ...] = ()


def reference(module: Module, scope: Scope, name: str, before: ast.expr) -> Reference | None:
    """How to write the library's ``name`` (``pyro.poutine.scale``) in ``scope`` of ``module``.

    An import that has to be added goes in front of the statement of ``before``.  ``None`` when the short name is
    taken by something else and there is no other way.  A name has to be there for everybody (``Scope.reachable``).
    """
    visible: dict[str, str] = {}
    for level in scope.reachable():
        for key, value in level.names.items():
            if isinstance(value, Library):
                visible.setdefault(key, value.name)
    package, _, short = name.rpartition(".")
    taken = {key for s in _enclosing(scope) for key in s.own_names()}
    starred = module.starred(short) if short not in taken else None
    if isinstance(starred, Library) and starred.name in _ALIASES.get(name, (name,)):
        return Reference(short)
    rest: list[str] = []
    wanted = name
    while wanted:
        for alias, known in visible.items():
            if known in _ALIASES.get(wanted, (wanted,)) and (not rest or wanted != "pyro" or _loaded(name)):
                return Reference(".".join([alias, *rest]))
        wanted, _, last = wanted.rpartition(".")
        rest.insert(0, last)
    if package == "pyro.poutine":  # people write poutine.scale, not scale
        package, short, tail = "pyro", "poutine", f".{short}"
    else:
        tail = ""
    if scope.lookup(short) is not None or short in taken:
        return None
    edit = _added(module, f"from {package} import {short}", before)
    return Reference(short + tail, (edit,)) if edit else None


def merged(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The edits of several references: different imports that go to one place become one edit."""
    places: dict[tuple[Path, int, int], list[str]] = {}
    for edit in edits:
        texts = places.setdefault((edit.path, edit.start, edit.end), [])
        if edit.replacement not in texts:
            texts.append(edit.replacement)
    return tuple(Edit(path, start, end, "".join(texts)) for (path, start, end), texts in places.items())


def _loaded(name: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in _LOADED)


def _enclosing(scope: Scope | None) -> list[Scope]:
    found = []
    while scope is not None:
        found.append(scope)
        scope = scope.parent
    return found


def _added(module: Module, statement: str, before: ast.expr) -> Edit | None:
    source = module.source
    newline = source.newline
    body = module.tree.body
    top = next((s for s in body if s.lineno <= before.lineno <= (s.end_lineno or s.lineno)), None)
    earlier = body[: body.index(top)] if top is not None else body
    until = body[: body.index(top) + 1] if top is not None else body
    imports = [s for s in earlier if isinstance(s, (ast.Import, ast.ImportFrom)) and _alone(module, s)]
    if imports:
        at = _end_of_line(source, imports[-1])
        lead = "" if source.text.endswith(("\n", "\r"), 0, at) else newline
        return Edit(module.path, at, at, f"{lead}{statement}{newline}")
    after = [s for s in earlier if _is_docstring(s)]
    if after and _alone(module, after[0]):
        at = _end_of_line(source, after[0])
        return Edit(module.path, at, at, f"{newline}{statement}{newline}")
    first = next((s for s in until if not _has_to_be_first(s) and _starts_its_line(module, s)), None)
    if first is None:
        return None
    at = source.offset(min([first.lineno, *(d.lineno for d in getattr(first, "decorator_list", []))]), 0)
    return Edit(module.path, at, at, f"{statement}{newline}{newline}")


def _end_of_line(source: Source, statement: ast.stmt) -> int:
    line = statement.end_lineno or statement.lineno
    return source.offset(line, 0) + len(source.lines[line - 1])


def _has_to_be_first(statement: ast.stmt) -> bool:
    return _is_docstring(statement) or (isinstance(statement, ast.ImportFrom) and statement.module == "__future__")


def _starts_its_line(module: Module, statement: ast.stmt) -> bool:
    return not any(
        other is not statement and (other.end_lineno or other.lineno) == statement.lineno
        for other in module.tree.body[: module.tree.body.index(statement)]
    )


def _alone(module: Module, statement: ast.stmt) -> bool:
    """Whether nothing else stands on the statement's lines."""
    end = statement.end_lineno or statement.lineno
    return not any(
        other is not statement and other.lineno <= end and (other.end_lineno or other.lineno) >= statement.lineno
        for other in module.tree.body
    )


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
