"""What calls of Pyro mean: params, samples, distributions, SVI objects and their steps become facts."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from pyro_fix.analysis import distributions, flow, records
from pyro_fix.analysis.program import Param, Site, Step, Svi, Unspelled, Use
from pyro_fix.analysis.spelled import spelled
from pyro_fix.analysis.values import (
    Attribute,
    Collection,
    Const,
    Function,
    Instance,
    Item,
    Join,
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
    literal,
    options,
)

if TYPE_CHECKING:
    from pyro_fix.analysis.interpreter import Interpreter
    from pyro_fix.analysis.scopes import Scope


#: Calls that do not step an SVI object which they are given.
_HARMLESS = ("builtins.", "functools.partial", "torch.", "pickle.", "logging.", "pyro.")


def library_call(run: Interpreter, made: Made) -> Value:
    """The value of a call of something of a library; facts are recorded on the way."""
    if unknown_keywords(made):
        run.program.misnamed.append(made)
    handler = _HANDLERS.get(made.name)
    if handler is not None:
        return handler(run, made)
    if not made.name.startswith(_HARMLESS):
        escape(made.parts())
    head, _, last = made.name.rpartition(".")
    if is_validation_switch(made.name):
        run.program.made.append(made)
    elif head == "pyro.distributions":
        _feeds(run, made, last)
    elif head in ("pyro.optim", "pyro.infer.autoguide", "torch.optim") or (head == "pyro.infer" and "ELBO" in last):
        made.scope = made.scope.frozen()
        run.program.made.append(made)
        if head == "torch.optim":
            for value in made.arguments[:1] or [made.keywords[key] for key in ("params",) if key in made.keywords]:
                _hold(value)
    return made


def _hold(value: Value) -> None:
    """A torch optimiser trains this: tensors, or groups of them."""
    if isinstance(value, (Collection, Mapping, Join)) or (
        isinstance(value, Item) and isinstance(value.base, Collection)
    ):
        for part in value.base.parts() if isinstance(value, Item) else value.parts():
            _hold(part)
    else:
        for origin in flow.origins(value):
            origin.param.param.held |= origin.unchanged


def is_validation_switch(name: str) -> bool:
    """Whether something of Pyro or torch turns validation on and off."""
    last = name.rpartition(".")[2]
    return (last in _SWITCHES and name.startswith(("pyro.", "torch.distributions."))) or name in _SETTINGS


_SWITCHES = frozenset({"enable_validation", "validation_enabled", "set_default_validate_args"})
_SETTINGS = frozenset({"pyro.settings.set", "pyro.settings.context"})


def _param(run: Interpreter, made: Made) -> Value:
    return _param_value(run, made, "param", made.argument(1, "init_tensor"), made.argument(2, "constraint"))


def _pyro_param(run: Interpreter, made: Made) -> Value:
    initial = made.argument(0, "init_value")
    if initial is None:  # used as a decorator with arguments: the init is the decorated method, run when it is read
        known = run.params.get(id(made.node))
        initial = (known and known.initial) or Opaque()
    return _param_value(run, made, "PyroParam", initial, made.argument(1, "constraint"))


def _param_value(run: Interpreter, made: Made, kind: str, initial: Value | None, constraint: Value | None) -> Value:
    if isinstance(initial, Function) and isinstance(initial.node, ast.Lambda):
        initial = run.call_function(initial, [], {}, made.node)
    known = run.params.get(id(made.node))
    name = literal_name(made.argument(0, "name")) if kind == "param" else None
    if known is None:
        known = Param(made.module, made.node, kind, name, initial, constraint, made.scope.frozen())
        if made.spread or unknown_keywords(made):  # arguments that cannot be seen: neither a getter nor bare
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


def unknown_keywords(made: Made) -> frozenset[str]:
    """The keywords of a call that its callee does not have."""
    names = distributions.argument_names(made.name) if made.keywords else None
    return frozenset() if names is None else frozenset(made.keywords.keys() - names)


def literal_name(value: Value | None) -> str | None:
    """A site's or param's name when the source spells it; its varying parts are ``{}``."""
    name = spelled(value)
    return name.text if name is not None else None


def _sample(run: Interpreter, made: Made) -> Value:
    observed, name = made.argument(-1, "obs"), spelled(made.argument(0, "name"))
    is_observed = observed is not None and not (isinstance(observed, Const) and observed.value is None)
    plates = _plates(run.contexts)
    site = Site(
        made.module,
        made.node,
        name.text if name is not None else None,
        made.argument(1, "fn"),
        is_observed,
        plates,
        tuple(run.contexts),
        frozenset(run.functions),
        holes=name.holes if name is not None else (),
        loops=tuple(run.loops),
        starts=_starts(run),
    )
    run.program.sites.append(site)
    value = _retyped(made, SiteValue)
    value.site = site
    return value


def _plates(contexts: Iterable[Value]) -> tuple[Made, ...]:
    return tuple(c for c in contexts if isinstance(c, Made) and c.name == "pyro.plate")


def _starts(run: Interpreter) -> dict[ast.AST, tuple[int, int]]:
    """How many loops and plates stood round the call of each function that is running."""
    called = zip(run.functions, run.frames, strict=True)
    return {function: (frame.loops, len(_plates(run.contexts[: frame.contexts]))) for function, frame in called}


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
        nesting=tuple(run.nesting),
        root=run.root,
        arms=dict(run.arms),
    )
    run.program.svis.append(svi)
    value = _retyped(made, SviValue)
    value.svi = svi
    return value


def step(run: Interpreter, svi: Svi, node: ast.Call, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """``svi.step(...)``: remember the loops around it."""
    loops = tuple(loop for loop in run.loops if not any(loop is outer for outer in svi.loops))
    start = run.nesting.index(loops[0]) if loops else len(run.nesting)
    branches = tuple(entry for entry in run.nesting[start:] if isinstance(entry, ast.AST))
    skipped = any(loop.skips for loop in loops) or any(frame.skips for frame in run.frames if frame.depth > start)
    guarded = [entry for entry in run.nesting[:start] if isinstance(entry, ast.AST) and entry not in svi.nesting]
    svi.steps.append(
        Step(
            run.module,
            node,
            tuple(arguments),
            keywords,
            loops,
            branches,
            skipped,
            run.entry,
            run.root,
            bool(guarded),
            tuple(run.functions),
            tuple(run.contexts),
            len(run.program.clearings),
            dict(run.arms),
        )
    )
    run.stepped.append((svi, svi.steps[-1]))
    if svi.is_lowlevel:
        svi.calls.append((run.module, node))
    return StepLoss(svi)


def run_svi(
    run: Interpreter, value: SviValue, node: ast.Call, arguments: list[Value], keywords: dict[str, Value]
) -> Value:
    """``svi.run(...)`` makes the ``num_steps`` steps that ``SVI`` was given, none by default."""
    steps = value.keywords.get("num_steps", Opaque() if value.spread else None)
    if steps is not None and not (isinstance(steps, Const) and steps.value == 0):
        loop = Loop(node, steps if "num_steps" in value.keywords else None, ends_early=False)
        run.loops.append(loop)
        run.nesting.append(loop)
        step(run, value.svi, node, arguments, keywords)
        run.nesting.pop()
        run.loops.pop()
    return Opaque()


def escape(values: Iterable[Value]) -> None:
    """Remember of SVI objects, and of their ``step``, that they were handed to something that is not followed."""
    for value in values:
        handed = value.base if isinstance(value, Attribute) and value.name == "step" else value
        if isinstance(handed, SviValue):
            handed.svi.escaped = True


def is_elbo(value: Value) -> bool:
    """Whether a value is an ELBO of Pyro."""
    return isinstance(value, Made) and value.name.startswith("pyro.infer.") and "ELBO" in value.name


#: Methods of an ELBO that give the loss with its gradient.
LOSSES = frozenset({"differentiable_loss", "loss_and_grads"})


def loss(run: Interpreter, elbo: Made, node: ast.Call, arguments: list[Value], keywords: dict[str, Value]) -> Value:
    """``elbo.differentiable_loss(model, guide, ...)``: a step of the lower-level pattern."""
    if len(arguments) < 2:
        return Opaque()
    model, guide, *rest = arguments
    for known in run.program.svis:
        if known.kind == "loss" and known.root is run.root and _are_same(known, model, guide):
            if any(option is elbo for option in options(known.loss)):
                break
            if known.call is node:  # the ELBO is one of several, depending on a branch
                known.loss = join(known.loss, elbo) if known.loss is not None else elbo
                return StepLoss(known)
    else:
        known = Svi(
            run.module,
            node,
            model,
            guide,
            Opaque(),
            elbo,
            run.scope.frozen(),
            tuple(loop for loop in run.loops if any(loop is outer for outer in elbo.loops)),
            tuple(run.nesting),
            run.root,
            arms=dict(run.arms),
            kind="loss",
        )
        run.program.svis.append(known)
    return step(run, known, node, rest, keywords)


def _are_same(svi: Svi, model: Value, guide: Value) -> bool:
    """Whether a loss is called with the model and the guide that it was first called with."""
    return all(
        left is right
        or (
            (isinstance(left, Function) and isinstance(right, Function))
            and (left.node is right.node and left.bound is right.bound)
        )
        for left, right in ((svi.model, model), (svi.guide, guide))
    )


def loss_module(run: Interpreter, elbo: Made, made: Made) -> Value:
    """``Trace_ELBO()(model, guide)``: a module that gives the loss."""
    value = _svi(run, made)
    assert isinstance(value, SviValue)
    value.svi.kind, value.svi.optimizer, value.svi.loss = "module", Opaque(), elbo
    return value


def attribute_sample(run: Interpreter, prior: Made, owner: Value, name: str, node: ast.expr) -> Value:
    """Reading an attribute that is a ``PyroSample`` samples it."""
    known = run.sampled.get(prior)
    if known is None:
        distribution = prior.argument(0, "prior")
        if isinstance(distribution, Function):
            distribution = run.call_function(distribution, [owner], {}, prior.node)
        known = _retyped(prior, SiteValue)
        known.site = Site(
            prior.module,
            prior.node,
            run.path_of(owner, name),
            distribution,
            False,
            _plates(run.contexts),
            tuple(run.contexts),
            frozenset(),
            "PyroSample",
            starts=_starts(run),
        )
        run.sampled[prior] = known
        run.program.sites.append(known.site)
    known.site.functions |= frozenset(run.functions)
    known.site.read_at.append((run.module, node))
    return known


def unspelled(run: Interpreter, node: ast.AST, what: str) -> None:
    """Sites that the source does not spell are sampled here, in every function that is running."""
    line = getattr(node, "lineno", 0)
    run.program.unspelled.extend(Unspelled(function, line, what) for function in run.functions)


def clear(run: Interpreter) -> Value:
    """The parameters are cleared: what trains from here on starts anew."""
    run.program.clearings.append(tuple(run.loops))
    return Const(None)


def _module(run: Interpreter, made: Made) -> Value:
    """``pyro.module`` gives its module back."""
    return made.argument(1, "nn_module") or made


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
    if isinstance(inner, Const) and type(inner.value).__name__ == made.name.rpartition(".")[2]:
        return inner
    if isinstance(inner, Const) and isinstance(inner.value, (int, float)):
        return literal(int(inner.value) if made.name == "builtins.int" else float(inner.value), inner.within)
    if inner is not None and flow.reaches(inner, SiteValue):
        run.hazard(made.node, f"{made.name.rpartition('.')[2]}() of a sampled value")
    return made


def _setattr(run: Interpreter, made: Made) -> Value:
    if len(made.arguments) == 3:
        records.set_by_name(*made.arguments)
    return Const(None)


def _replace(run: Interpreter, made: Made) -> Value:
    """``dataclasses.replace(config, steps=5)``."""
    inner = made.arguments[0] if made.arguments else None
    return records.replaced(inner, made.keywords, made.spread) if isinstance(inner, Instance) else made


def _namespace(run: Interpreter, made: Made) -> Value:
    """``SimpleNamespace(steps=5)``: an object whose attributes are what is given."""
    if not made.spread and not made.arguments:
        for name, value in made.keywords.items():
            made.set_attribute(name, value)
    return made


def loop_over(run: Interpreter, node: ast.AST, value: Value, ends_early: bool) -> Loop:
    """The loop that runs over ``value``."""
    inner, is_numbered = value, False
    if isinstance(value, Made) and value.name == "builtins.enumerate" and value.arguments:
        inner, is_numbered = value.arguments[0], len(value.arguments) == 1 and not value.keywords
    if isinstance(inner, Made) and inner.name == "pyro.plate":
        run.hazard(node, "a sequential loop over a plate")
    elif flow.reaches(value, SiteValue):
        run.hazard(node, "a loop over a sampled value")
    return Loop(node, flow.spelled_range(value), ends_early, flow.unwrapped(value), is_numbered)


def _len(run: Interpreter, made: Made) -> Value:
    if len(made.arguments) == 1:
        made.arguments[0].attribute("__len__")  # it has one, which tells how many rounds a loop over it makes
    return made


def _map(run: Interpreter, made: Made) -> Value:
    """``map(svi.step, batches)``: a loop that calls its first argument."""
    if len(made.arguments) < 2 or made.spread:
        escape(made.arguments)
        return made
    callee, *iterables = made.arguments
    over = iterables[0] if len(iterables) == 1 else Opaque()
    loop = loop_over(run, made.node, over, ends_early=made.node not in run.exhausted)
    run.loops.append(loop)
    run.nesting.append(loop)
    run.apply(callee, made.node, [Opaque() for _ in iterables], {})
    run.nesting.pop()
    run.loops.pop()
    return made


_HANDLERS: dict[str, Callable[[Interpreter, Made], Value]] = {
    "pyro.param": _param,
    "pyro.module": _module,
    "pyro.clear_param_store": lambda run, made: clear(run),
    "pyro.nn.PyroParam": _pyro_param,
    "pyro.sample": _sample,
    "pyro.infer.SVI": _svi,
    "builtins.dict": _dict,
    "builtins.list": _list,
    "builtins.len": _len,
    "builtins.map": _map,
    "builtins.setattr": _setattr,
    **dict.fromkeys(("dataclasses.replace", "attr.evolve", "attrs.evolve", "copy.replace"), _replace),
    **dict.fromkeys(("types.SimpleNamespace", "argparse.Namespace"), _namespace),
    "builtins.int": _number,
    "builtins.float": _number,
}
