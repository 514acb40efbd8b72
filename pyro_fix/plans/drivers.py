"""Drivers: programs that we make up for a file that nothing of the project runs.

A driver imports a function that trains, or a model with its guide, from the user's file and calls it with values made
up from signatures (:mod:`pyro_fix.plans.arguments`).  Which of several values fit, the driver finds out itself: it
runs model and guide once with each, without a step, and trains with the first that works.  It exists in the overlay of
a run alone; nothing is written to the user's tree.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyro_fix.analysis import distributions
from pyro_fix.analysis.program import Program, Svi
from pyro_fix.analysis.roles import lineage
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.values import Class, Function, Instance, Made, Value, options
from pyro_fix.plans.arguments import FunctionNode, calls, kind_of
from pyro_fix.plans.templates import PAIR, TRAINER
from pyro_fix.plans.tree import Tree, dotted, import_root
from pyro_fix.runner.model import Target
from pyro_fix.verify.options import RunPlan

#: Drivers that are tried for one file: each that fails costs the start of a process.
MOST = 4


@dataclass(frozen=True)
class _Call:
    """Something that a driver can do, and which definitions it runs."""

    label: str
    """For people: ``train()``, ``model() and guide()``."""
    module: Path
    roots: frozenset[tuple[Path, str]]
    """The top-level definitions, file and name, that it begins with."""
    things: Sequence[str]
    """Texts of what is built first, with the user's module as ``module``; each is tried."""
    values: Sequence[str]
    """Texts of argument lists; each is tried."""
    name: str = ""
    """The function or method that trains; empty for a model with its guide."""
    model: str = ""
    """Text of the model, made from the ``thing`` that was built."""
    guide: str = ""
    """Text of the guide, made from ``thing`` or ``model``."""
    elbo: str = "Trace_ELBO"


def reaching(program: Program, path: Path, names: Collection[str], tree: Tree) -> list[RunPlan]:
    """Drivers that run the top-level definitions ``names`` (all, if it is empty) of the file at ``path``."""
    module = program.modules.get(path)
    training = {step.entry for svi in program.svis for step in svi.steps}
    if module is None or module in training:
        return []  # importing it would train at once
    definitions = _Definitions(program)
    wanted = {(path, name) for name in names}
    trainers = list(_trainers(program, definitions))
    plans: dict[str, RunPlan] = {}
    for call in (*_entries(trainers, program, definitions), *trainers, *_pairs(program, module)):
        reached = definitions.reached(call.roots) if program.modules[call.module] not in training else set()
        if call.things and call.values and (wanted & reached if wanted else any(file == path for file, _ in reached)):
            plan = _plan(call, len(plans), tree)
            plans.setdefault(call.label + str(call.module), plan)
    return list(plans.values())[:MOST]


def _plan(call: _Call, number: int, tree: Tree) -> RunPlan:
    root, name = import_root(call.module), dotted(call.module)
    text = (TRAINER if call.name else PAIR).format(
        title=f"Runs {call.label} of {call.module.name}",
        module=name,
        built="\n".join(f"    lambda: {thing}," for thing in call.things),
        given="\n".join(f"    lambda: given({values})," for values in call.values),
        name=call.name,
        model=call.model,
        guide=call.guide,
        elbo=call.elbo,
    )
    # One file a driver: the name is part of what its run is known by.
    script = root / f".pyro-fix-driver-{name}-{number}.py"
    origin = f"a driver made from the signature of {call.label}"
    target = Target("script", script.name, (), root, origin, path=tree.places)
    added = ((script, text.encode()),)
    return RunPlan(target, 1, frozenset({call.module}), kind="driver", added=added)


class _Definitions:
    """Which top-level definition of a file a node stands in, and what the definitions mention."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def holder(self, module: Module, node: ast.AST) -> ast.stmt | None:
        """The function or class at the top of a file that ``node`` stands in."""
        line = getattr(node, "lineno", 0)
        return next((top for top in tops(module.tree).values() if _spans(top, line)), None)

    def reached(self, roots: Iterable[tuple[Path, str]]) -> set[tuple[Path, str]]:
        """The definitions that ``roots`` mention, directly or not, in their own files."""
        seen: set[tuple[Path, str]] = set()
        waiting = list(roots)
        while waiting:
            path, name = key = waiting.pop()
            module = self._program.modules.get(path)
            if key in seen or module is None or name not in (found := tops(module.tree)):
                continue
            seen.add(key)
            for node in ast.walk(found[name]):
                if isinstance(node, ast.Name) and node.id in found:
                    waiting.append((path, node.id))
        return seen


def tops(tree: ast.Module) -> dict[str, ast.FunctionDef | ast.ClassDef]:
    """The functions and classes at the top of a file."""
    return {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def spanning(top: ast.stmt) -> Callable[[int], bool]:
    """Whether a line belongs to a definition."""
    return lambda line: _spans(top, line)


def _spans(node: ast.stmt, line: int) -> bool:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    return first <= line <= (node.end_lineno or node.lineno)


# --- functions and methods that train by themselves


def _trainers(program: Program, definitions: _Definitions) -> Iterator[_Call]:
    for svi in program.svis:
        models = [node for value in (svi.model, svi.guide) for node in _sources(value)]
        roots = frozenset(
            (module.path, top.name)
            for module, node in models
            if isinstance(top := definitions.holder(module, node), (ast.FunctionDef, ast.ClassDef))
        )
        places = [(svi.module, svi.call), *((step.module, step.call) for step in svi.steps)]
        for module, node in places:
            top = definitions.holder(module, node)
            if isinstance(top, ast.ClassDef):
                yield from _training_methods(program, svi, top, node, roots)
            elif isinstance(top, ast.FunctionDef):
                function = _outer(top, tops(module.tree).values())
                if function is not None and _steps(function, svi):
                    made, name = calls(function, _handed_over(function, svi, program), bound=False), function.name
                    yield _Call(f"{name}()", module.path, roots | {(module.path, name)}, ["module"], made, name)


def _training_methods(
    program: Program, svi: Svi, top: ast.ClassDef, node: ast.AST, roots: frozenset[tuple[Path, str]]
) -> Iterator[_Call]:
    """The method round ``node``, or its caller, of every class that has it: those that derive from it come first."""
    for cls in _heirs(program, top):
        line = getattr(node, "lineno", 0)
        inner = next((item for item in top.body if isinstance(item, ast.FunctionDef) and _spans(item, line)), None)
        own = _methods(cls)
        function = _outer(inner, own.values()) if inner is not None else None
        function = own.get(function.name) if function is not None else None  # perhaps the heir's own
        if function is None or not _steps(function, svi):
            continue
        made, path = calls(function, _handed_over(function, svi, program), bound=True), cls.module.path
        things = [f"module.{cls.node.name}({built})" for built in _constructors(cls.node, cls.module)]
        reached = roots | {(known.module.path, known.node.name) for known in lineage(cls)}
        yield _Call(f"{cls.node.name}.{function.name}()", path, reached, things, made, function.name)


def _heirs(program: Program, top: ast.ClassDef) -> list[Class]:
    """The classes at the top of a file that derive from one, however far, and last that one itself."""
    found = [
        (sum(1 for _ in lineage(value)), cls_module.path, value)
        for cls_module in program.modules.values()
        for name, node in tops(cls_module.tree).items()
        if isinstance(value := cls_module.scope.names.get(name), Class)
        and value.node is node
        and any(known.node is top for known in lineage(value))
    ]
    return [value for _, _, value in sorted(found, key=lambda one: (-one[0], one[1]))]


def _methods(cls: Class) -> dict[str, ast.FunctionDef]:
    """The methods of a class, its bases' included."""
    found: dict[str, ast.FunctionDef] = {}
    for known in lineage(cls):
        for item in known.node.body:
            if isinstance(item, ast.FunctionDef):
                found.setdefault(item.name, item)
    return found


def _entries(trainers: Iterable[_Call], program: Program, definitions: _Definitions) -> Iterator[_Call]:
    """Functions without required arguments, such as ``main()``, that come to one that trains."""
    for call in trainers:
        for name, node in tops(program.modules[call.module].tree).items():
            given = node.args if isinstance(node, ast.FunctionDef) else None
            if given is None or name.startswith("_") or (call.module, name) in call.roots:
                continue
            if len(given.defaults) < len(given.posonlyargs + given.args) or None in given.kw_defaults:
                continue
            roots = frozenset({(call.module, name), *call.roots})
            if definitions.reached([(call.module, name)]) & call.roots:
                yield _Call(f"{name}()", call.module, roots, ["module"], [""], name)


def _outer(function: ast.FunctionDef, others: Iterable[ast.stmt]) -> ast.FunctionDef | None:
    """The function that a person would call: a helper's caller, where the helper is private or is handed the SVI."""
    for _ in range(4):
        if function.name != "__init__" and not function.name.startswith("_") and not _takes_svi(function):
            return function
        callers = [
            other
            for other in others
            if isinstance(other, ast.FunctionDef)
            and other is not function
            and any(
                getattr(node, "attr", getattr(node, "id", None)) == function.name
                for node in ast.walk(other)
                if isinstance(node, (ast.Attribute, ast.Name))
            )
        ]
        if not callers or function.name == "__init__":
            return None
        function = callers[0]
    return None


def _takes_svi(function: ast.FunctionDef) -> bool:
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return any(argument.arg == "svi" for argument in given)


def _steps(function: ast.FunctionDef, svi: Svi) -> bool:
    """Whether calling ``function`` may come to a step: it has one, or calls what has it."""
    return bool(svi.steps) or any(isinstance(n, ast.Attribute) and n.attr == "step" for n in ast.walk(function))


def _handed_over(function: ast.FunctionDef, svi: Svi, program: Program) -> dict[str, str]:
    """Parameters of ``function`` that it passes on to the model -> the kind of what the model observes in them."""
    found: dict[str, str] = {}
    known = _observed(_sources(svi.model), program)
    for step in svi.steps:
        for _, node in _sources(svi.model):
            names = [argument.arg for argument in node.args.args if argument.arg != "self"]
            pairs = [*zip(names, step.call.args), *((k.arg, k.value) for k in step.call.keywords)]  # noqa: B905
            for name, value in pairs:
                if isinstance(value, ast.Name) and name in known:
                    found[value.id] = known[name]
    own = {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
    return {name: kind for name, kind in found.items() if name in own}


def _constructors(owner: ast.ClassDef, module: Module) -> list[str]:
    """Argument lists that build an object of a class."""
    cls = module.scope.names.get(owner.name)
    made = _methods(cls).get("__init__") if isinstance(cls, Class) else None
    if made is None or not isinstance(cls, Class):
        return [""]
    context = ast.Module([known.node for known in lineage(cls)], [])
    return calls(made, {}, bound=True, data=False, context=context)[:4]


# --- models with guides


def _pairs(program: Program, module: Module) -> Iterator[_Call]:
    for svi in program.svis:
        for model, guide in _product(svi):
            if module in {m for value in (model, guide) for m, _ in _sources(value)}:
                yield from _pair(program, model, guide)
    yield from _named(program, module)


def _product(svi: Svi) -> Iterator[tuple[Value, Value]]:
    for model in options(svi.model):
        for guide in options(svi.guide):
            yield model, guide


def _pair(program: Program, model: Value, guide: Value) -> Iterator[_Call]:
    spelled, other = _spelled(model), _spelled(guide)
    sources = _sources(model)
    if spelled is None or not sources:
        return
    if isinstance(guide, Made) and guide.name.startswith("pyro.infer.autoguide.Auto"):
        second, roots = f"{guide.name}(model)", frozenset({spelled[1]})
    elif other is None or other[0].path != spelled[0].path:
        return
    else:
        second, roots = other[2], frozenset({spelled[1], other[1]})
    node = sources[0][1]
    yield _made(program, spelled[0], f"{node.name}() and its guide", node, spelled[2], second, roots)


def _named(program: Program, module: Module) -> Iterator[_Call]:
    """Pairs by their names, ``model_x`` and ``guide_x``, at the top or in a class; and models that stand alone."""
    found = tops(module.tree)
    functions = {name: node for name, node in found.items() if isinstance(node, ast.FunctionDef)}
    for name, node in functions.items():
        twin = _twin(name)
        if twin in functions and _samples(program, node):
            roots = frozenset({(module.path, name), (module.path, twin)})
            label = f"{name}() and {twin}()"
            yield _made(program, module, label, node, f"thing.{name}", f"thing.{twin}", roots)
        elif inner := _factory(node):
            yield _from_factory(program, module, node, inner)
    for name, cls in found.items():
        if isinstance(cls, ast.ClassDef):
            yield from _in_class(program, module, name, cls)
    sampling = {
        id(node) for site in program.sites if site.module is module and site.observed for node in site.functions
    }
    for name, node in functions.items():
        if id(node) in sampling and "guide" not in name:
            alone = f"{name}() with an autoguide"
            yield _made(program, module, alone, node, f"thing.{name}", _AUTO, frozenset({(module.path, name)}))


_AUTO = "pyro.infer.autoguide.AutoNormal(model)"


def _in_class(program: Program, module: Module, name: str, cls: ast.ClassDef) -> Iterator[_Call]:
    methods = {item.name: item for item in cls.body if isinstance(item, ast.FunctionDef)}
    roots = frozenset({(module.path, name)})
    for method, node in methods.items():
        twin = "guide" if method in ("forward", "__call__") else _twin(method)
        model = "thing" if method in ("forward", "__call__") else f"thing.{method}"
        if twin in methods and _samples(program, node):
            label = f"{name}.{method}() and {name}.{twin}()"
            yield _made(program, module, label, node, model, f"thing.{twin}", roots, cls)
        elif method in ("forward", "__call__") and _samples(program, node, observed=True):
            label = f"{name} with an autoguide"
            yield _made(program, module, label, node, model, _AUTO, roots, cls)


def _made(
    program: Program,
    module: Module,
    label: str,
    node: FunctionNode,
    model: str,
    guide: str,
    roots: frozenset[tuple[Path, str]],
    cls: ast.ClassDef | None = None,
) -> _Call:
    """The driver of one pair; ``thing``, in ``model`` and ``guide``, is an object of ``cls``, or the module."""
    made = calls(node, _observed([(module, node)], program), bound=cls is not None)
    things = ["module"] if cls is None else [f"module.{cls.name}({built})" for built in _constructors(cls, module)]
    return _Call(label, module.path, roots, things, made, model=model, guide=guide, elbo=_elbo(node))


def _from_factory(
    program: Program, module: Module, node: ast.FunctionDef, inner: tuple[ast.FunctionDef, int, int]
) -> _Call:
    model, at, other = inner
    made = calls(model, _observed([(module, model)], program), bound=False)
    things = [f"module.{node.name}({built})" for built in calls(node, {}, bound=False)]
    roots = frozenset({(module.path, node.name)})
    label, parts = f"what {node.name}() returns", (f"thing[{at}]", f"thing[{other}]")
    return _Call(label, module.path, roots, things[:4], made, model=parts[0], guide=parts[1], elbo=_elbo(model))


def _factory(node: ast.FunctionDef) -> tuple[ast.FunctionDef, int, int] | None:
    """The model that a function defines and returns with its guide, and the places of both in what it returns."""
    inner = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    for statement in node.body:
        if isinstance(statement, ast.Return) and isinstance(statement.value, ast.Tuple):
            names = [getattr(item, "id", "") for item in statement.value.elts]
            for at, name in enumerate(names):
                if name in inner and _twin(name) in names:
                    return inner[name], at, names.index(_twin(name))
    return None


# --- small questions


def _sources(value: Value | None) -> list[tuple[Module, FunctionNode]]:
    """The functions behind a model or guide, with their files."""
    found = []
    for option in options(value):
        if isinstance(option, Instance):
            member = option.cls.member("forward") or option.cls.member("__call__")
            option = member if member is not None else option
        if isinstance(option, Function) and not isinstance(option.node, ast.Lambda):
            found.append((option.module, option.node))
    return found


def _spelled(value: Value) -> tuple[Module, tuple[Path, str], str] | None:
    """Where a function at the top of a file is, and its text in a driver; objects are left to :func:`_in_class`."""
    if not isinstance(value, Function) or value.bound is not None or isinstance(value.node, ast.Lambda):
        return None
    module, name = value.module, value.node.name
    return (module, (module.path, name), f"thing.{name}") if tops(module.tree).get(name) is value.node else None


def _twin(name: str) -> str:
    """The guide's name for a model's: ``guide_vae`` for ``model_vae``; something impossible for other names."""
    return (
        re.sub(r"(?i)model", lambda m: "Guide" if m[0][0].isupper() else "guide", name, count=1)
        if re.search(r"(?i)model", name)
        else ""
    )


def _samples(program: Program, node: ast.AST, *, observed: bool = False) -> bool:
    """Whether a function runs sample statements, itself or in what it calls."""
    return any(node in site.functions and (site.observed or not observed) for site in program.sites)


def _elbo(node: FunctionNode) -> str:
    """The loss for a model on its own: one that enumerates where the model asks for it."""
    asks = any(isinstance(item, ast.Constant) and item.value == "enumerate" for item in ast.walk(node)) or any(
        "config_enumerate" in ast.unparse(decorator) for decorator in node.decorator_list
    )
    return "TraceEnum_ELBO" if asks else "Trace_ELBO"


def _observed(functions: Iterable[tuple[Module, FunctionNode]], program: Program) -> dict[str, str]:
    """Parameters whose values the sites of a model observe -> the kind of values that the site can take."""
    found: dict[str, str] = {}
    for _, node in functions:
        own = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
        for site in program.sites:
            if node not in site.functions:
                continue
            given = next((keyword.value for keyword in site.call.keywords if keyword.arg == "obs"), None)
            for inner in ast.walk(given) if given is not None else ():
                if isinstance(inner, ast.Name) and inner.id in own:
                    found[inner.id] = kind_of(_support(site.call))
    return found


def _support(call: ast.Call) -> str | None:
    """The support of the distribution that a sample statement spells, ``.to_event()`` and its like looked through."""
    node: ast.expr | None = call.args[1] if len(call.args) > 1 else None
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
        node = node.func.value
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    known = distributions.lookup(name)
    if known is None:
        return None
    if name == "Categorical":
        return "integer_interval"
    return known.support
