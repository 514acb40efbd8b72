"""Modules and scopes: where names live while a program is read."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pyro_fix.analysis import bound, names
from pyro_fix.analysis.values import (
    Class,
    Const,
    Function,
    Join,
    Library,
    Mapping,
    ProjectModule,
    Value,
    join,
)
from pyro_fix.sources import Source

BUILTINS = frozenset(dir(builtins))
#: How deep attributes are looked through: ``config.optim.steps``.
DEEPEST = 3


@dataclass(frozen=True)
class Level:
    """Names that one function round a place, or the file, has there for everybody."""

    names: dict[str, Value]
    parameters: frozenset[str] = frozenset()
    """Those of them that the function is given."""


class Scope:
    """The names of a module, a class body or one activation of a function.

    ``names`` is replaced, not changed, when the program branches, so that a branch can be taken back.
    """

    __slots__ = ("_held", "at", "function", "globals", "module", "names", "parent")

    def __init__(self, module: Module, parent: Scope | None, function: ast.AST | None = None) -> None:
        self.module, self.parent, self.function = module, parent, function
        self.names: dict[str, Value] = {}
        self.globals: set[str] = set()
        self.at: ast.AST | None = None
        """The statement of it that is being run; ``None`` in a lambda and a comprehension, and where all is done."""
        self._held: dict[int, dict[str, Value]] | None = None
        """Of a frozen scope: what its objects and dicts held."""

    def lookup(self, name: str) -> Value | None:
        """What ``name`` stands for here; ``None`` when nothing is known to have bound it."""
        if name in self.names:
            return self.names[name]
        scope = self.parent
        while scope is not None:
            if scope.parent is None:
                return scope.module.global_value(name)
            if name in scope.names:
                return scope.names[name]
            scope = scope.parent
        return self.module.global_value(name)

    def bind(self, name: str, value: Value) -> None:
        """Assign ``name``."""
        if name in self.globals:
            self.module.scope.bind(name, value)
            return
        self.names[name] = value
        if self.parent is None:
            self.module.history.setdefault(name, []).append(value)

    def visible(self) -> dict[str, Value]:
        """Every name that can be read here, with its value now; inner ones hide outer ones."""
        found: dict[str, Value] = {}
        scope: Scope | None = self
        while scope is not None:
            for name, value in scope.names.items():
                found.setdefault(name, value)
            scope = scope.parent
        return found

    def reachable(self) -> list[Level]:
        """The names that can be read here whoever came here and how, innermost first.

        A run of the program shows more of them: what it binds as ``__main__``, and what a branch or a function binds
        that others need not go through.  A name of the file that the function here reads itself is there, too.
        """
        levels: list[Level] = []
        hidden: set[str] = set()
        read: set[str] = set()
        outer: set[str] = set()  # names of the file that the function here has assigned itself
        scope: Scope | None = self
        place, later = self.at, False
        while scope is not None:
            parent, function = scope.parent, scope.function
            if function is None and parent is not None and scope.at is not None and scope is not self:
                scope = parent  # the body of a class, whose names its methods do not see
                continue
            sure, owner = scope.names.keys() | set(), scope._owner(place)
            if place is not None and owner is not None:
                sure = set(bound.surely_bound(owner, place, self.module.parents, later))
                outer |= scope.globals & sure
                if later and parent is None:
                    sure -= self.module.declared_global
            there = (sure | read | outer) - hidden
            names = {name: value for name, value in scope.names.items() if name in there}
            hidden |= scope.names.keys()
            if function is not None and (parent is None or parent.function is not function):
                levels.append(Level(names, bound.parameters(function)))
                hidden |= bound.local_names(function)
                read |= bound.surely_read(function)
                place, later = function, True
            else:
                levels.append(Level(names))
                if place is None and parent is not None:  # a comprehension
                    place = parent.at
            scope = parent
        return levels

    def own_names(self) -> Set[str]:
        """The names of this scope itself, those included that its function assigns later on."""
        return self.names.keys() | (bound.local_names(self.function) if self.function is not None else frozenset())

    def has_its_own(self, name: str) -> bool:
        """Whether ``name`` is here not the file's, but a function's or a class's."""
        scope: Scope = self
        while scope.parent is not None:
            if name in scope.own_names() and name not in scope.globals:
                return True
            scope = scope.parent
        return False

    def _owner(self, place: ast.AST | None) -> ast.AST | None:
        """What has the names of this scope: the file, a function, or the class that ``place`` stands in."""
        if self.function is not None or self.parent is None:
            return self.function or self.module.tree
        while place is not None and not isinstance(place, ast.ClassDef):
            place = self.module.parents.get(place)
        return place

    def frozen(self) -> Scope:
        """A copy that later assignments do not reach, for a fact to remember where it was found."""
        copy = Scope(self.module, self.parent.frozen() if self.parent is not None else None, self.function)
        copy.names = dict(self.names)
        copy.globals, copy.at = self.globals, self.at
        copy._held = {}
        level = list(self.names.values())
        for _ in range(DEEPEST):
            holders = [value for value in level if _is_changed(value) and id(value) not in copy._held]
            copy._held.update((id(value), dict(holding(value))) for value in holders)
            level = [part for value in holders for part in copy._held[id(value)].values()]
        return copy

    def held(self, value: Value) -> dict[str, Value]:
        """The attributes and entries (``["steps"]``) of something that can be read here."""
        scope: Scope | None = self
        while scope is not None:
            if scope._held is not None and id(value) in scope._held:
                return scope._held[id(value)]
            scope = scope.parent
        return holding(value)


def _is_changed(value: Value) -> bool:
    """Whether what a value holds may be set later on; what was read of a join is never taken for what is set later."""
    return not isinstance(value, (Class, Const, Function, Join, Library, ProjectModule))


def holding(value: Value) -> dict[str, Value]:
    """The attributes and entries of a value, as it is now; entries are written ``["steps"]``."""
    if isinstance(value, ProjectModule):
        module = value.module
        once = (name for name, values in module.history.items() if len(values) == 1)
        return {
            name: module.scope.names[name] for name in once if name in module.lasting and name in module.scope.names
        }
    found: dict[str, Value] = dict(getattr(value, "_attributes", {}))
    if isinstance(value, Mapping) and value.whole:
        found |= {f"[{key!r}]": item for key, item in value.items.items()}
    return found


def around(module: Module, node: ast.AST) -> Scope:
    """What can be read at ``node`` of a file that has been read: in a function, of the file's names and no others."""
    above, functions = node, []
    while (above := module.parents.get(above, module.tree)) is not module.tree:
        if isinstance(above, bound.FUNCTIONS):
            functions.append(above)
    scope = module.scope
    for function in reversed(functions):
        scope = Scope(module, scope, function)
    if not functions:
        scope = module.scope.frozen()
    scope.at = node
    return scope


class Module:
    """One file: its text, its tree, its global names."""

    def __init__(self, source: Source, tree: ast.Module, name: str, load: Callable[[Module], Any]) -> None:
        self.source, self.tree, self.name = source, tree, name
        self.path = source.path
        self.scope = Scope(self, None)
        self.history: dict[str, list[Value]] = {}
        self.stars: list[str | Module] = []
        """What it imported everything from, in order: libraries by name, and files of the project."""
        self.callers: dict[ast.AST, set[ast.AST]] = {}
        """Function of this file -> the functions that were seen to call it, by way of others too."""
        self.imports: set[Module] = set()
        """Modules of the project that it imports, directly or not."""
        self.state = "new"
        """``new``, ``running`` or ``done``."""
        self._load = load
        self._searching = False

    @cached_property
    def classes(self) -> dict[ast.AST, ast.ClassDef]:
        """The class that each method of the file stands in."""
        found = (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))
        return {member: node for node in found for member in node.body}

    @cached_property
    def mentions(self) -> Counter[str]:
        """How often each name stands in the file, assigned or read."""
        return Counter(node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """What each node of the tree is a part of."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def declared_global(self) -> frozenset[str]:
        """Names that some function in the file assigns outside itself."""
        declarations = (node for node in ast.walk(self.tree) if isinstance(node, (ast.Global, ast.Nonlocal)))
        return frozenset(name for node in declarations for name in node.names)

    @cached_property
    def lasting(self) -> frozenset[str]:
        """The names that whoever imports the file finds in it."""
        last = self.tree.body[-1:]
        sure = bound.surely_bound(self.tree, last[0], self.parents, later=True) if last else frozenset()
        return sure - self.declared_global

    def global_value(self, name: str) -> Value | None:
        """A global as a function sees it: once the module has run to its end, any value it ever had."""
        if self.state == "done":
            bound = self.history.get(name)
            if bound:
                return bound[-1] if len(bound) == 1 else join(*bound)
        elif name in self.scope.names:
            return self.scope.names[name]
        if (value := self.starred(name)) is not None:
            return value
        return Library(f"builtins.{name}") if name in BUILTINS else None

    def starred(self, name: str) -> Value | None:
        """What the last ``from … import *`` that has ``name`` bound it to."""
        if self._searching:  # two modules that import each other
            return None
        self._searching = True
        try:
            for star in reversed(self.stars):
                if isinstance(star, Module):
                    if (value := star.exported(name)) is not None:
                        return value
                elif (full := names.star_exports(star, name)) is not None:
                    return Library(full)
            return None
        finally:
            self._searching = False

    def exported(self, name: str) -> Value | None:
        """What ``from this import name`` gives; reads the file the first time."""
        if self.state == "new":
            self._load(self)
        return self.scope.names.get(name) or self.starred(name)
