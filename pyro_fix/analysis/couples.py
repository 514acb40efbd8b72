"""Models and guides that no SVI call of the project brings together, and their names do.

A library hands out ``model`` and ``guide`` and leaves the training to others.  Nobody knows then which ELBO will be
used, nor with which optimiser; what the two have to agree on, whoever trains them, can be said all the same.  A name is
no proof: nothing is paired that has a second partner, that shares no site, or that something else is done with.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from pyro_fix.analysis.program import Couple, Program, functions_of
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.values import Class, Function, Instance, Made

#: What else may be done with a model and something that proposes for it, or to what either of them samples.
_OTHER_USES = frozenset(
    {"MCMC", "NUTS", "HMC", "Importance", "CSIS", "SMCFilter", "SMCABC", "ABC", "EmpiricalMarginal"}
    | {"SVGD", "RBFSteinKernel", "IMQSteinKernel", "importance", "vectorized_importance_weights", "psis_diagnostic"}
    | {"condition", "uncondition", "do", "block", "lift", "reparam", "scope", "substitute", "collapse", "equalize"}
    | {"AutoGuideList", "EasyGuide", "random_module"}
    # design of experiments: a guide of the outcomes themselves
    | {"oed", "posterior_eig", "marginal_eig", "marginal_likelihood_eig", "vnmc_eig", "nmc_eig", "laplace_eig"}
    | {"donsker_varadhan_eig", "lfire_eig"}
)
#: What a model or guide may be handed to and stay what it is.
_READERS = frozenset({"SVI", "Predictive", "render_model", "trace", "replay", "print"})
_WORD = re.compile(r"(?:^|_)(model|guide)(?=$|_|\d)")

_Names = Mapping[str, Function]


def couples(program: Program) -> Iterator[Couple]:
    """Each model with its guide, where neither is used otherwise and exactly one of each goes by the name."""
    used = _used(program)
    told: set[tuple[ast.AST, ast.AST]] = set()
    for names in _namespaces(program):
        for model, guide in _matched(program, names):
            nodes = (model.node, guide.node)
            if nodes not in told and not used & set(nodes) and not any(map(_is_called, (model, guide))):
                told.add(nodes)
                if not _has_other_uses(program, model, guide):
                    yield Couple(model, guide)


def _used(program: Program) -> set[ast.AST]:
    """The functions of which is known how they are trained: by an SVI call, or with an autoguide."""
    values = [value for svi in program.svis for value in (svi.model, svi.guide)]
    autoguides = (made for made in program.made if made.name.startswith("pyro.infer.autoguide."))
    values += [made.argument(0, "model") for made in autoguides if isinstance(made, Made)]
    return {node for value in values for node in functions_of(value)}


def _is_called(function: Function) -> bool:
    """Whether it is a part of something else."""
    return bool(function.module.callers.get(function.node))


def _has_other_uses(program: Program, *functions: Function) -> bool:
    """Whether their file, or one that imports it, does something else with models, or with these."""
    names = {name for function in functions if (name := getattr(function.node, "name", None))}
    homes = {function.module for function in functions}
    readers = [other for other in program.modules.values() if other in homes or homes & other.imports]
    return any(not _OTHER_USES.isdisjoint(_words(reader)) or _hands_on(reader, names) for reader in readers)


def _words(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            yield _last(node)
        elif isinstance(node, ast.alias) and node.asname:  # what keeps its name is seen where it is used
            yield node.name.rpartition(".")[2]


def _hands_on(module: Module, names: set[str]) -> bool:
    """Whether one of the names is handed to something that may make another model of it."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and _last(node.func) not in _READERS:
            given = (*node.args, *(keyword.value for keyword in node.keywords))
            if any(_last(value) in names for value in given):
                return True
    return False


def _last(node: ast.expr) -> str:
    """The last part of a dotted name; empty for anything else."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


# -- where they stand side by side


def _namespaces(program: Program) -> Iterator[_Names]:
    """The functions of every file, of every class and of every call of a function that defines some."""
    for module in program.modules.values():
        here = {
            name: value
            for name, value in module.scope.names.items()
            if getattr(value, "module", None) is module and len(module.history.get(name, ())) == 1
        }
        yield {name: value for name, value in here.items() if isinstance(value, Function)}
        for value in here.values():
            if isinstance(value, Class):
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
        counts = Counter(node.name for node in ast.walk(known.node) if isinstance(node, ast.FunctionDef))
        for name, value in known.members.items():
            found.pop(name, None)
            if isinstance(value, Function) and counts[name] == 1:
                found[name] = Function(value.node, value.scope, value.module, value.decorators, itself)
    return found


def _only(functions: Iterable[Function]) -> _Names:
    """Functions by their names, those left out that are defined in several ways."""
    found: dict[str, list[Function]] = defaultdict(list)
    for function in functions:
        if not isinstance(function.node, ast.Lambda):
            found[function.node.name].append(function)
    return {name: several[0] for name, several in found.items() if len(several) == 1}


# -- which of them belong together


def _matched(program: Program, names: _Names) -> Iterator[tuple[Function, Function]]:
    """``model_a`` and ``guide_a``; ``scale`` and ``scale_guide`` where there is no ``scale_model``."""
    models: dict[str, list[Function]] = defaultdict(list)
    guides: dict[str, list[Function]] = defaultdict(list)
    for name, function in names.items():
        words = _WORD.findall(name)
        if len(words) == 1:
            stem = _WORD.sub("", name, count=1).strip("_")
            (models if words[0] == "model" else guides)[stem].append(function)
    for stem, alike in guides.items():
        partners = models.get(stem) or [names[name] for name in (stem,) if name in names]
        if len(alike) == len(partners) == 1:
            both = partners[0], alike[0]
            if _share_a_latent(program, *both) and _can_be_called_alike(*both):
                yield both


def _share_a_latent(program: Program, *functions: Function) -> bool:
    named = [
        {site.name for site in program.sites_of([function.node]) if site.name is not None and not site.observed}
        for function in functions
    ]
    return bool(set.intersection(*named))


def _can_be_called_alike(*functions: Function) -> bool:
    """Whether some number of arguments suits them all: whoever trains them gives both the same ones."""
    fewest, most = 0, sys.maxsize
    for function in functions:
        spec = function.node.args
        positional = len(spec.posonlyargs) + len(spec.args)
        fewest = max(fewest, positional - len(spec.defaults))
        most = most if spec.vararg else min(most, positional)
    return fewest <= most
