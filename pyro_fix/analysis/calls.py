"""What calls of Pyro mean: params, samples, distributions, SVI objects and their steps become facts."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pyro_fix.analysis import distributions, flow
from pyro_fix.analysis.program import Param, Site, Step, Svi, Use
from pyro_fix.analysis.values import (
    Arithmetic,
    Collection,
    Const,
    Function,
    Loop,
    Made,
    Mapping,
    Opaque,
    ParamValue,
    SiteValue,
    StepLoss,
    SviValue,
    Value,
    join,
)

if TYPE_CHECKING:
    from pyro_fix.analysis.interpreter import Interpreter
    from pyro_fix.analysis.scopes import Scope


def library_call(run: Interpreter, made: Made) -> Value:
    """The value of a call of something of a library; facts are recorded on the way."""
    handler = _HANDLERS.get(made.name)
    if handler is not None:
        return handler(run, made)
    head, _, last = made.name.rpartition(".")
    if head == "pyro.distributions":
        _feeds(run, made, last)
    elif head in ("pyro.optim", "pyro.infer.autoguide", "torch.optim") or (head == "pyro.infer" and "ELBO" in last):
        made.scope = made.scope.frozen()
        run.program.made.append(made)
    return made


def _param(run: Interpreter, made: Made) -> Value:
    return _param_value(run, made, "param", made.argument(1, "init_tensor"), made.argument(2, "constraint"))


def _pyro_param(run: Interpreter, made: Made) -> Value:
    initial = made.argument(0, "init_value")
    if initial is None:  # used as a decorator with arguments: the init is the decorated method
        initial = Opaque()
    return _param_value(run, made, "PyroParam", initial, made.argument(1, "constraint"))


def _param_value(run: Interpreter, made: Made, kind: str, initial: Value | None, constraint: Value | None) -> Value:
    if isinstance(initial, Function) and isinstance(initial.node, ast.Lambda):
        initial = run.call_function(initial, [], {}, made.node)
    known = run.params.get(id(made.node))
    name = literal_name(made.argument(0, "name")) if kind == "param" else None
    if known is None:
        known = Param(made.module, made.node, kind, name, initial, constraint, made.scope.frozen())
        if made.spread:  # arguments that cannot be seen: neither a getter nor bare
            known.initial, known.constraint = initial or Opaque(), constraint or Opaque()
        run.params[id(made.node)] = known
        run.program.params.append(known)
    else:
        known.initial = join(known.initial, initial) if known.initial and initial else known.initial or initial
        known.constraint = join(known.constraint, constraint) if known.constraint and constraint else known.constraint
        known.name = name if known.name == name else None  # one call of a helper makes params of several names
    value = _retyped(made, ParamValue)
    value.param = known
    return value


def literal_name(value: Value | None) -> str | None:
    """A site's or param's name when the source spells it; the varying parts of an f-string are ``{}``."""
    if isinstance(value, Const) and isinstance(value.value, str):
        return value.value
    if isinstance(value, Arithmetic) and value.operator == "JoinedStr":
        texts = [part.value if isinstance(part, Const) else "{}" for part in value.operands]
        return "".join(str(text) for text in texts)
    return None


def _sample(run: Interpreter, made: Made) -> Value:
    observed = made.argument(-1, "obs")
    is_observed = observed is not None and not (isinstance(observed, Const) and observed.value is None)
    plates = tuple(c for c in run.contexts if isinstance(c, Made) and c.name == "pyro.plate")
    site = Site(
        made.module,
        made.node,
        literal_name(made.argument(0, "name")),
        made.argument(1, "fn"),
        is_observed,
        plates,
        tuple(run.contexts),
        frozenset(run.functions),
    )
    run.program.sites.append(site)
    value = _retyped(made, SiteValue)
    value.site = site
    return value


def _svi(run: Interpreter, made: Made) -> Value:
    unknown = Opaque() if made.spread else None
    svi = Svi(
        made.module,
        made.node,
        made.argument(0, "model") or unknown,
        made.argument(1, "guide") or unknown,
        made.argument(2, "optim") or unknown,
        made.argument(3, "loss") or unknown,
        made.scope.frozen(),
        made.loops,
    )
    run.program.svis.append(svi)
    value = _retyped(made, SviValue)
    value.svi = svi
    return value


def step(run: Interpreter, svi: Svi, node: ast.Call, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """``svi.step(...)``: remember the loops around it."""
    loops = tuple(loop for loop in run.loops if not any(loop is outer for outer in svi.loops))
    inside = run.nesting[run.nesting.index(loops[0]) :] if loops else []
    conditional = any(loop.skips for loop in loops) or any(isinstance(entry, ast.AST) for entry in inside)
    svi.steps.append(Step(run.module, node, tuple(arguments), keywords, loops, conditional, run.entry))
    return StepLoss(svi)


def _feeds(run: Interpreter, made: Made, name: str) -> None:
    """Record which params feed the arguments of a distribution."""
    distribution = distributions.lookup(name)
    if distribution is None or made.spread:
        return
    for argument, required in distribution.constraints.items():
        position = distribution.arguments.index(argument) if argument in distribution.arguments else -1
        value = made.argument(position, argument)
        if value is None:
            continue
        for origin in flow.origins(value):
            use = Use(made, argument, required, origin.unchanged, origin.reshaped, frozenset(run.functions))
            origin.param.param.uses.append(use)


_M = TypeVar("_M", bound=Made)


def _retyped(made: Made, kind: type[_M]) -> _M:
    return kind(made.name, made.node, made.arguments, made.keywords, made.spread, made.module, made.scope, made.loops)


def _dict(run: Interpreter, made: Made) -> Value:
    if made.arguments or made.spread:
        return made
    items: dict[object, Value] = {key: value for key, value in made.keywords.items()}
    return with_scope(Mapping(items, True, made.node), made.scope)


def with_scope(mapping: Mapping, scope: Scope) -> Mapping:
    """Let a dict that may be the options of an optimiser remember what can be read where it is written."""
    if "lr" in mapping.items or not mapping.items:
        mapping.scope = scope.frozen()
    return mapping


def _list(run: Interpreter, made: Made) -> Value:
    inner = made.arguments[0] if len(made.arguments) == 1 else None
    return Collection(list(inner.items)) if isinstance(inner, Collection) else made


def _number(run: Interpreter, made: Made) -> Value:
    """``int(x)`` and ``float(x)`` of a literal are literals; of a sample they leave torch."""
    inner = made.arguments[0] if len(made.arguments) == 1 else None
    if isinstance(inner, Const) and isinstance(inner.value, (int, float)):
        return Const(int(inner.value) if made.name == "builtins.int" else float(inner.value))
    if inner is not None and flow.reaches(inner, SiteValue):
        run.hazard(made.node, f"{made.name.rpartition('.')[2]}() of a sampled value")
    return made


def loop_over(run: Interpreter, node: ast.AST, value: Value, ends_early: bool) -> Loop:
    """The loop that runs over ``value``."""
    inner = value
    if isinstance(value, Made) and value.name == "builtins.enumerate" and value.arguments:
        inner = value.arguments[0]
    if isinstance(inner, Made) and inner.name == "pyro.plate":
        run.hazard(node, "a sequential loop over a plate")
    elif flow.reaches(value, SiteValue):
        run.hazard(node, "a loop over a sampled value")
    return Loop(node, flow.spelled_range(value), ends_early)


_HANDLERS: dict[str, Callable[[Interpreter, Made], Value]] = {
    "pyro.param": _param,
    "pyro.nn.PyroParam": _pyro_param,
    "pyro.sample": _sample,
    "pyro.infer.SVI": _svi,
    "builtins.dict": _dict,
    "builtins.list": _list,
    "builtins.int": _number,
    "builtins.float": _number,
}
