"""Models and guides that no SVI call of the project brings together, and their names or docstrings do.

A library hands out ``model`` and ``guide`` and leaves the training to others.  Nobody knows then which ELBO will be
used, nor with which optimiser; what the two have to agree on, whoever trains them, can be said all the same.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pyro_fix.analysis.program import Couple, Program, functions_of
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.values import Class, Function, FunctionNode, Instance, Made

#: What else may be done with a model and something that proposes for it, or with a model that observes nothing yet.
_OTHER_USES = frozenset(
    {"MCMC", "NUTS", "HMC", "Importance", "CSIS", "SMCFilter", "SMCABC", "ABC", "EmpiricalMarginal", "RBFSteinKernel"}
    | {"condition", "uncondition", "do", "importance", "vectorized_importance_weights", "psis_diagnostic"}
)
_WORD = re.compile(r"(?:^|_)(model|guide)(?=$|_|\d)")
#: A docstring that begins by saying what the function is: "Guide for the scale.", "The mean-field guide of …".
_IS = re.compile(
    r"(?:this(?: is(?: the| an?| our)?)?\s+|(?:the|an?|our)\s+)?"
    r"(?:(?!(?:of|for|in|from|to|and|by|with|the)\b)(?<=\s)[\w-]+\s+){0,3}"
    r"(?:(?P<guide>guide|variational (?:distribution|posterior|family|approximation))"
    r"|(?:generative )?model|generative process)"
    r"(?: function)?(?=\s*(?:$|[.:,;(\n]|(?:of|for|with|in|that|where|to|over|on|which)\b))",
    re.IGNORECASE,
)
_NAME = re.compile(r"[^\W\d]\w*")

_Names = Mapping[str, Function]


@dataclass(frozen=True)
class _Role:
    """What a function says that it is."""

    kind: Literal["model", "guide"]
    function: Function
    name: str
    stem: str | None
    """Its name without that word; ``None`` where only the docstring has it."""


def couples(program: Program) -> Iterator[Couple]:
    """Each model with its guide, where neither is used otherwise and exactly one of each goes by the pattern."""
    used = _used(program)
    told: set[tuple[ast.AST, ast.AST]] = set()
    for names in _namespaces(program):
        for model, guide in _matched(program, names):
            nodes = (model.function.node, guide.function.node)
            if nodes in told or used & set(nodes) or any(_is_called(role.function) for role in (model, guide)):
                continue
            told.add(nodes)
            if not _has_other_uses(program, model.function.module):
                yield Couple(model.function, guide.function)


def _used(program: Program) -> set[ast.AST]:
    """The functions of which is known how they are trained: by an SVI call, or with an autoguide."""
    values = [value for svi in program.svis for value in (svi.model, svi.guide)]
    autoguides = (made for made in program.made if made.name.startswith("pyro.infer.autoguide."))
    values += [made.argument(0, "model") for made in autoguides if isinstance(made, Made)]
    return {node for value in values for node in functions_of(value)}


def _is_called(function: Function) -> bool:
    """Whether it is a part of something else."""
    return bool(function.module.callers.get(function.node))


def _has_other_uses(program: Program, module: Module) -> bool:
    """Whether a file, or one that imports it, does something else with models."""
    readers = (other for other in program.modules.values() if other is module or module in other.imports)
    return any(not _OTHER_USES.isdisjoint(_words(reader.tree)) for reader in readers)


def _words(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name.rpartition(".")[2]


# -- where they stand side by side


def _namespaces(program: Program) -> Iterator[_Names]:
    """The functions of every file, of every class and of every call of a function that defines some."""
    for module in program.modules.values():
        names = module.scope.names
        yield {name: value for name, value in names.items() if isinstance(value, Function) and value.module is module}
        for value in names.values():
            if isinstance(value, Class) and value.module is module:
                yield _methods(value)
    inner: dict[int, list[Function]] = defaultdict(list)
    for function in program.inner:
        inner[id(function.scope)].append(function)
    for functions in inner.values():
        yield _only(functions)


def _methods(cls: Class) -> _Names:
    """The methods of an object, those that it inherits among them."""
    itself = Instance(cls)
    found: dict[str, Function] = {}
    for known in reversed(cls.lineage()):
        for name, value in known.members.items():
            if isinstance(value, Function):
                found[name] = Function(value.node, value.scope, value.module, value.decorators, itself)
    return found


def _only(functions: Iterable[Function]) -> _Names:
    """Functions by their names, those left out that a branch defines in several ways."""
    found: dict[str, list[Function]] = defaultdict(list)
    for function in functions:
        if not isinstance(function.node, ast.Lambda):
            found[function.node.name].append(function)
    return {name: several[0] for name, several in found.items() if len(several) == 1}


# -- which of them belong together


def _matched(program: Program, names: _Names) -> Iterator[tuple[_Role, _Role]]:
    roles = [role for name, function in names.items() if (role := _role(name, function)) is not None]
    guides = [role for role in roles if role.kind == "guide" and _samples(program, role.function)]
    if not guides:
        return
    models = [role for role in roles if role.kind == "model" and _samples(program, role.function)]
    matched: list[tuple[_Role, _Role]] = []
    for guide in guides:
        if guide.stem is not None and sum(other.stem == guide.stem for other in guides) == 1:
            alike = [model for model in models if model.stem == guide.stem]
            if not alike and guide.stem in names:  # scale and scale_guide
                alike = [_Role("model", names[guide.stem], guide.stem, guide.stem)]
            if len(alike) == 1:
                matched.append((alike[0], guide))
        elif guide.stem is None:
            matched += [(model, guide) for model in _said_to_be_of(program, guide, names)]
    taken = {role.function.node for pair in matched for role in pair}
    free = [[role for role in side if role.function.node not in taken] for side in (models, guides)]
    if all(len(side) == 1 for side in free) and any(side[0].stem is None for side in free):
        matched.append((free[0][0], free[1][0]))
    for model, guide in matched:
        by_name = model.stem is not None and guide.stem is not None
        if _share_a_latent(program, model, guide) or (by_name and _has_params(program, guide.function.node)):
            yield model, guide


def _role(name: str, function: Function) -> _Role | None:
    """What a function's name says that it is, or else the first paragraph of its docstring."""
    words: list[str] = _WORD.findall(name)
    if len(words) == 1:
        stem = _WORD.sub("", name, count=1).strip("_")
        return _Role("model" if words[0] == "model" else "guide", function, name, stem)
    if words or isinstance(function.node, ast.Lambda):
        return None
    said = _IS.match(_said(function))
    return _Role("guide" if said["guide"] else "model", function, name, None) if said else None


def _said(function: Function) -> str:
    """The first paragraph of a docstring."""
    if isinstance(function.node, ast.Lambda):
        return ""
    return (ast.get_docstring(function.node) or "").partition("\n\n")[0]


def _said_to_be_of(program: Program, guide: _Role, names: _Names) -> list[_Role]:
    """The one function that the guide's docstring names."""
    words = set(_NAME.findall(_said(guide.function))) - {guide.name}
    roles = [
        _role(name, names[name]) or _Role("model", names[name], name, None) for name in sorted(words & names.keys())
    ]
    named = [role for role in roles if role.kind == "model" and _share_a_latent(program, role, guide)]
    return named if len(named) == 1 else []


def _samples(program: Program, function: Function) -> bool:
    return any(not site.observed for site in program.sites_of([function.node]))


def _share_a_latent(program: Program, model: _Role, guide: _Role) -> bool:
    sides = (program.sites_of([role.function.node]) for role in (model, guide))
    theirs, ours = ({site.name for site in sites if site.name is not None and not site.observed} for sites in sides)
    return not theirs.isdisjoint(ours)


def _has_params(program: Program, guide: FunctionNode) -> bool:
    """Whether it has something to learn, which nothing but a guide has beside a model of the same name."""
    within = set(ast.walk(guide))
    return any(param.call in within for param in program.params)
