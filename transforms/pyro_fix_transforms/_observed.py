"""What model and guide do to data: a guide that samples what is observed, a model that does not observe its labels."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pyro_fix import edits
from pyro_fix.analysis.pairing import Side, is_plain, side
from pyro_fix.analysis.program import Couple, Program, Site, Svi, functions_of
from pyro_fix.analysis.reach import surely_runs
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.values import Const
from pyro_fix.transform import Edit
from pyro_fix_transforms._classes import unimported


@dataclass(frozen=True)
class Slip:
    """A statement, what is wrong with it, and its mend."""

    site: Site
    message: str
    label: str
    edits: tuple[Edit, ...] = ()
    doubt: str = ""
    source: Literal["static", "seen"] = "static"


def sampled_in_guide(program: Program, one: Svi | Couple) -> Iterator[Slip]:
    """Sites of the guide that the model observes: their values are lost, their densities count."""
    observed = {s.name: s for s in program.sites_of(functions_of(one.model)) if s.observed and s.name is not None}
    runs = program.seen.svi(one) if isinstance(one, Svi) else []
    looks = [seen.svi.look for seen in runs if seen.svi.look is not None and seen.svi.look.model]
    shown = [
        {n for n, s in look.guide.items() if n in look.model and look.model[n].observed and not s.auxiliary}
        for look in looks
    ]
    guide = side(program, one.guide)
    told = {site.name for site in guide.sites if _is_sure(guide, site)} if guide is not None else set()
    told &= {name for name, site in observed.items() if not _may_be_none(site)}
    drawn = set.intersection(*shown) if shown else told
    for site in program.sites_of(functions_of(one.guide)):
        if site.name is not None and site.name in drawn and site.kind == "sample":
            message = f"the guide samples '{site.name}', which the model observes: nothing is inferred about data"
            lost = _learnt_there(program, site)
            if lost:
                names = " and ".join(map(repr, lost))
                message += f"; what {names} should learn of them belongs in the model's distribution"
            doubt = "" if site.name in observed else "where the model observes it is not plain: remove it by hand"
            if not doubt and looks and all(look.params.keys() <= set(lost) for look in looks):
                doubt = "without the statement nothing would be trained: put its parameters into the model"
            if not doubt and _may_be_none(observed[site.name]):
                doubt = "the data may be None, and the site a latent then"
            change = None if doubt else _removed(site.module, site.call)
            if not doubt and change is None:
                doubt = "what it gives is used: remove the statement by hand"
            changes = (*unimported(program, site.module, site.call), change) if change is not None else ()
            yield Slip(
                site, message, "without the statement", changes, doubt, "static" if site.name in told else "seen"
            )


def _is_sure(guide: Side, site: Site) -> bool:
    """Whether the guide samples a site whatever it is given: a branch may ask whether there are data."""
    return is_plain(site) and any(surely_runs(function.node, site.call) for function in guide.functions)


def _learnt_there(program: Program, site: Site) -> list[str]:
    """The params that feed this site and nothing else: people who sample data in a guide mean to learn these."""
    within = set(ast.walk(site.call))
    names = [
        param.name
        for param in program.params
        if param.name and param.uses and all(use.distribution.node in within for use in param.uses)
    ]
    return list(dict.fromkeys(names))


def forgotten(program: Program, svi: Svi) -> Iterator[Slip]:
    """Sites of the model in the place of an argument, which is handed in and never looked at: ``obs=`` is missing."""
    guide = program.sites_of(functions_of(svi.guide))
    if any(site.name is None or "{}" in site.name for site in guide):
        return
    theirs = {site.name for site in guide}
    for site in program.sites_of(functions_of(svi.model)):
        if site.kind != "sample" or site.name is None or "{}" in site.name or site.name in theirs:
            continue
        if any(keyword.arg in ("obs", "obs_mask", None) for keyword in site.call.keywords) or len(site.call.args) > 2:
            continue
        name = _overwritten(program, svi, site)
        if name:
            message = (
                f"the argument '{name}' is handed to the model and never observed: the sample '{site.name}' takes its "
                f"place; obs={name} is missing"
            )
            yield Slip(site, message, f"obs={name}", (edits.add_keyword(site.module, site.call, "obs", name),))


def _overwritten(program: Program, svi: Svi, site: Site) -> str:
    """The model's argument that the site's value is assigned to, where it is handed in and nothing has read it; or the
    argument of the site's own name, where nothing reads it at all."""
    for function in functions_of(svi.model):
        if not isinstance(function, ast.FunctionDef) or function not in site.functions:
            continue
        if site.name is not None and _is_handed_in(svi, function, site.name):
            own = {n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == site.name}
            if not own and not any(getattr(n, "id", "") in ("locals", "vars") for n in ast.walk(function)):
                return site.name
        assigned = next((n for n in ast.walk(function) if isinstance(n, ast.Assign) and n.value is site.call), None)
        if assigned is None or len(assigned.targets) != 1 or not isinstance(assigned.targets[0], ast.Name):
            continue
        name = assigned.targets[0].id
        end = site.call.end_lineno or site.call.lineno
        names = [n for n in ast.walk(function) if isinstance(n, ast.Name) and n.id == name]
        if any(n.lineno <= end and n is not assigned.targets[0] for n in names):
            continue
        if _is_handed_in(svi, function, name):
            return name
    return ""


def _is_handed_in(svi: Svi, function: ast.FunctionDef, name: str) -> bool:
    """Whether every step gives the argument something that is not ``None``."""
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    if name not in names or not svi.steps:
        return False
    position = names.index(name) - (names[0] in ("self", "cls"))
    for step in svi.steps:
        given = step.keywords.get(name) or (step.arguments[position] if position < len(step.arguments) else None)
        if given is None or (isinstance(given, Const) and given.value is None):
            return False
    return True


def _may_be_none(site: Site) -> bool:
    """Whether what is observed is an argument that may be left out."""
    given = next((keyword.value for keyword in site.call.keywords if keyword.arg == "obs"), None)
    if given is None:
        return True
    read = {node.id for node in ast.walk(given) if isinstance(node, ast.Name)}
    for function in site.functions:
        arguments = getattr(function, "args", None)
        if isinstance(arguments, ast.arguments):
            plain = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) :] if arguments.defaults else []
            pairs = [
                *zip(plain, arguments.defaults, strict=True),
                *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
            ]
            for argument, default in pairs:
                if argument.arg in read and isinstance(default, ast.Constant) and default.value is None:
                    return True
    return False


def _removed(module: Module, call: ast.Call) -> Edit | None:
    """The statement's removal, with the plate round it where nothing else stands in there."""
    source = module.source
    for block in ast.walk(module.tree):
        for body in (getattr(block, "body", None), getattr(block, "orelse", None)):
            if not isinstance(body, list) or len(body) < 2:
                continue
            for statement in body:
                if (
                    isinstance(statement, ast.With)
                    and len(statement.body) == 1
                    and isinstance(statement.body[0], ast.Expr)
                    and statement.body[0].value is call
                    and all(item.optional_vars is None for item in statement.items)
                    and statement.lineno != statement.body[0].lineno
                ):
                    last = statement.end_lineno or statement.lineno
                    start, end = (
                        source.offset(statement.lineno, 0),
                        source.offset(last, 0) + len(source.lines[last - 1]),
                    )
                    behind = source.text[edits.span(source, statement.body[0])[1] : end].strip()
                    return None if behind else Edit(module.path, start, end, "")
    return edits.remove_statement(module, call)
