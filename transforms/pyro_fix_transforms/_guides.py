"""What the transforms share that put another guide in a guide's place (tips 4 and 6)."""

from __future__ import annotations

import ast

from pyro_fix.analysis.program import Program, Svi, functions_of
from pyro_fix.analysis.roles import inherits
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.values import Function, Instance, Value


def is_pyro_module(value: Value | None) -> bool:
    """Whether a guide is an object of a ``PyroModule`` class of the project."""
    return isinstance(value, Instance) and inherits(value.cls, "pyro.nn.PyroModule")


def linked(program: Program, svi: Svi, guide: Function) -> list[Module]:
    """The files that can see the guide or train it."""
    core = {svi.module, guide.module}
    return [module for module in program.modules.values() if module in core or core & module.imports]


def read_by_name(program: Program, svi: Svi, guide: Function) -> str:
    """Where parameters are read by their names, outside model and guide, in words; empty where they are not."""
    inside: set[ast.AST] = {guide.node, *functions_of(svi.model)}
    inside = inside.union(*(site.functions for site in program.sites_of(inside)))
    own = {node for function in inside for node in ast.walk(function)}
    modules = linked(program, svi, guide)
    for param in program.params:
        if param.kind == "param" and param.module in modules and param.call not in own:
            return f"a parameter is read by its name at line {param.call.lineno}"
    for module in modules:
        cleared = set()
        for node in ast.walk(module.tree):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
            if name == "clear" and isinstance(node, ast.Attribute):
                cleared |= set(ast.walk(node.value))
            elif name == "get_param_store" and node not in cleared:
                return "the parameter store is read"
    return ""
