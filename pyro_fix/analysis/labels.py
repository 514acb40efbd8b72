"""Labels that are handed to a model and never observed: ``y = pyro.sample("y", …)`` over an argument ``y``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from pyro_fix.analysis.pairing import may_be_observed, side
from pyro_fix.analysis.program import Program, Site, Step, Svi
from pyro_fix.analysis.values import Const, Function


@dataclass(frozen=True)
class Forgotten:
    """A site of a model that takes the place of an argument with data."""

    site: Site
    argument: str


def forgotten(program: Program, svi: Svi) -> list[Forgotten]:
    """The sites of a model that lack ``obs=``: the guide does not sample them, and their values come by an argument."""
    model, guide = side(program, svi.model), side(program, svi.guide)
    if model is None or guide is None or len(model.functions) != 1 or not svi.steps:
        return []
    names = {site.name for site in program.sites_of(function.node for function in guide.functions)}
    if None in names or program.unspelled_in(function.node for function in guide.functions):
        return []
    (function,) = model.functions
    overwritten = dict(_overwritten(function))
    found = []
    for site in model.sites:
        if site.name in names or may_be_observed(site):
            continue
        argument = overwritten.get(site.call) or _namesake(function, site)
        if argument and all(_is_given(step, function, argument) for step in svi.steps):
            found.append(Forgotten(site, argument))
    return found


def _arguments(function: Function) -> set[str]:
    spec = function.node.args
    return {arg.arg for arg in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)}


def _namesake(function: Function, site: Site) -> str | None:
    """An argument that has the site's name, and that the function does nothing with."""
    used = {node.id for node in ast.walk(function.node) if isinstance(node, ast.Name)}
    return site.name if site.name in _arguments(function) - used else None


def _overwritten(function: Function) -> Iterator[tuple[ast.Call, str]]:
    """Statements that assign a sample to an argument of which nothing was read before, and the argument's name."""
    names = _arguments(function)
    for node in ast.walk(function.node):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.value, ast.Call):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id in names and not _is_read(function, target.id, node):
                yield node.value, target.id


def _is_read(function: Function, name: str, statement: ast.Assign) -> bool:
    """Whether an argument is used up to the end of a statement that overwrites it."""
    end = (statement.end_lineno or statement.lineno, statement.end_col_offset or 0)
    body = function.node.body if isinstance(function.node.body, list) else [function.node.body]
    return any(
        isinstance(node, ast.Name)
        and node.id == name
        and isinstance(node.ctx, ast.Load)
        and (node.lineno, node.col_offset) <= end
        for inner in body
        for node in ast.walk(inner)
    )


def _is_given(step: Step, function: Function, name: str) -> bool:
    """Whether a step hands something over for an argument."""
    if name in step.keywords:
        value = step.keywords[name]
    else:
        spec = function.node.args
        names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)][function.bound is not None :]
        place = names.index(name) if name in names else len(step.arguments)
        if place >= len(step.arguments) or any(isinstance(arg, ast.Starred) for arg in step.call.args):
            return False
        value = step.arguments[place]
    return not (isinstance(value, Const) and value.value is None)
