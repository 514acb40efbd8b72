"""SVI061."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pyro_fix import edits, imports
from pyro_fix.analysis import distributions, health
from pyro_fix.analysis.program import Program, Svi, functions_of
from pyro_fix.analysis.roles import parts_of
from pyro_fix.analysis.seen import SeenSvi
from pyro_fix.analysis.spell import steps_of
from pyro_fix.analysis.values import Const, Function, Instance, Made, Value, options
from pyro_fix.observation import Look, Trajectory
from pyro_fix.transform import Candidate, Promise, Proposal, Transform
from pyro_fix_transforms._failures import broken_inputs, of_data, of_values
from pyro_fix_transforms._guides import is_pyro_module, linked, read_by_name
from pyro_fix_transforms._local import by_plates, local, packing
from pyro_fix_transforms._priors import repeated

#: Exceptions that a guide's mathematics raises; a NameError or a TypeError is for its author to mend.
MATHEMATICAL = frozenset({"ValueError", "RuntimeError", "ArithmeticError", "LinAlgError", "_LinAlgError"})
#: How the probe names supports of integers.
DISCRETE = ("boolean", "integer", "nonnegative_integer", "positive_integer", "one_hot")
#: Pyro's check that a guide's site is of the shape of its model's.
_DISAGREE = re.compile(r"Model and guide (?:event_dims|shapes) disagree at site")
HANDLERS = frozenset({"pyro.condition", "pyro.poutine.condition"})
SCALE = "pyro.poutine.scale"


class AutoguideFallback(Transform):
    """Use an autoguide in place of a guide that breaks.

    ## What it does
    Finds a custom guide with which training breaks or diverges when the program is run, and which no other fix mends,
    and gives the `SVI` call an autoguide of the same model in its place: `AutoNormal`, or `AutoDelta`, the first that
    keeps its promise. The guide's function stays in the file. A guide that is a point estimate (all `Delta`) only
    becomes an `AutoDelta`. An autoguide that packs all latents into one vector (`AutoDiagonalNormal` and its like), of
    a model with latents in a plate that subsamples, becomes an `AutoNormal` that knows of the plate. A latent that a
    guide draws from just what the model draws it from is told.

    ## Why
    Most hand-written guides are a Normal per latent, which an autoguide writes without the mistakes: right supports,
    right shapes, constrained scales, a narrow start (tip 6).

    ## Example
    ```python
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    ```
    becomes
    ```python
    svi = SVI(model, AutoNormal(model), optim, loss=Trace_ELBO())
    ```
    and the parameters get the autoguide's names, `AutoNormal.locs...` and `AutoNormal.scales...`.

    ## Holds back when
    - a latent is drawn from its prior: which parameters it should have is for its author to say;
    - the guide is amortised: it computes with its arguments; or it is a method, or a module other than a `PyroModule`;
    - a plain torch optimiser is in charge, which would not know the new parameters;
    - the guide is used in another place too, which would go on with an untrained one;
    - parameters are read by name, or the parameter store is read as a whole;
    - a latent is discrete, plates subsample, or latents belong to the data of a minibatch.

    ## Promise
    No worse (finite where the original breaks, and better than where the original starts, by the original's model and
    objective; where that start is not finite, or is in other units, the patched run's own loss has to fall), and the
    patched run is clean. Of an autoguide that packs local latents: trained to its own end, the program ends with a
    lower loss.
    """

    code, name, tip = "SVI061", "autoguide-fallback", 6
    by_the_end = True
    promise = Promise.NO_WORSE | Promise.RUNS_CLEAN
    after = ("SVI",)

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an SVI object."""
        told: set[ast.AST] = set()
        for svi in program.svis:
            guide, node = _custom(svi)
            if guide is None:
                yield from self._packed(program, svi)
                continue
            trouble = _trouble(program.seen.svi(svi), guide)
            if not trouble:
                yield from self._repeated(program, svi, guide, told)
                continue
            bound = guide.bound
            name = bound.cls.node.name if isinstance(bound, Instance) else getattr(guide.node, "name", "")
            message = f"the guide{f' {name!r}' if name else ''} {trouble}"
            model = _model(svi)
            doubt = _doubt(program, svi, guide, node)
            if not doubt and model is None:
                doubt = "the model is made within the SVI call"
            candidates = []
            for kind in ("AutoDelta",) if _is_point(program, svi, guide) else ("AutoNormal", "AutoDelta"):
                there = imports.reference(svi.module, svi.scope, f"pyro.infer.autoguide.{kind}", svi.call)
                if there is not None and node is not None and model is not None:
                    change = edits.replace(svi.module, node, f"{there.text}({model})")
                    label = f"{kind} in place of the guide"
                    candidates.append(Candidate((*there.edits, change), self.promise, label, needs_run=True))
            if not doubt and not candidates:
                doubt = "the name AutoNormal is taken here"
            yield self.finding(svi.module, svi.call, message, tuple(candidates), doubt, "seen")

    def _repeated(self, program: Program, svi: Svi, guide: Function, told: set[ast.AST]) -> Iterator[Proposal]:
        """Latents that the guide draws from their prior."""
        for site in repeated(program, svi, guide):
            if site.call not in told:
                told.add(site.call)
                message = (
                    f"the guide draws '{site.name}' from just what the model draws it from: without parameters of its "
                    "own it learns nothing of what the data say of it"
                )
                doubt = f"give '{site.name}' parameters of its own in the guide, or let an autoguide do it"
                yield self.finding(site.module, site.call, message, held_back=doubt)

    def _packed(self, program: Program, svi: Svi) -> Iterator[Proposal]:
        """An autoguide that makes one vector of the latents of a minibatch."""
        made = packing(svi)
        looks = _looks(program, svi)
        found = local(program, svi, looks) if made is not None else None
        if made is None or found is None:
            return
        site, plate = found
        kind = made.name.rpartition(".")[2]
        message = (
            f"{kind} has one vector for the latents of the first minibatch: '{site}' in plate '{plate}' belongs to "
            "other data at every step, and gets the values of those before"
        )
        changes = by_plates(program, svi, made)
        source: Literal["static", "seen"] = "seen" if looks else "static"
        if isinstance(changes, str):
            doubt = f"AutoNormal with create_plates keeps them apart; {changes}"
            yield self.finding(made.module, made.node, message, held_back=doubt, source=source)
            return
        label = f"AutoNormal with create_plates for '{plate}'"
        promise = Promise.RUNS_CLEAN | Promise.BETTER_END  # the first steps hardly tell
        steps = steps_of(program, svi, svi.scope).literal
        candidate = Candidate(changes, promise, label, needs_run=True, steps=steps)
        yield self.finding(made.module, made.node, message, (candidate,), source=source)


# -- what the run showed


def _trouble(seen: Sequence[SeenSvi], guide: Function) -> str:
    """How the guide makes trajectories go wrong, where it does so for half of them or more in every run."""
    words = []
    for one in seen:
        bad = [text for t in one.svi.trajectories if (text := _bad_end(t, one, guide))]
        if 2 * len(bad) < len(one.svi.trajectories) or not bad:
            return ""
        words.append(f"{bad[0]} on {len(bad)} of {len(one.svi.trajectories)} seeds")
    return words[0] if words else ""


def _bad_end(trajectory: Trajectory, seen: SeenSvi, guide: Function) -> str:
    bad, failure = health.breakdown(trajectory), trajectory.failure
    if bad is None:
        return "makes the loss diverge" if health.diverged(trajectory) else ""
    if bad[0] == "not finite":
        return f"ends in {bad[1]}"
    if failure is None:
        return ""
    if of_data(failure, seen.svi.look) is not None or broken_inputs(failure, seen.svi.look):
        return ""  # another guide meets the same data
    of_guide = failure.kind in MATHEMATICAL and _inside(failure, seen, guide)
    if of_values(failure) or _DISAGREE.match(failure.message) or of_guide:
        return f"fails: {health.describe(failure)}"
    return ""


def _inside(failure: object, seen: SeenSvi, guide: Function) -> bool:
    """Whether an exception was raised in the guide's own lines."""
    path, _, line = getattr(failure, "where", "").rpartition(":")
    if not path or not line.isdigit():
        return False
    if os.path.realpath(Path(seen.run.cwd, path)) != os.path.realpath(guide.module.path):
        return False
    return guide.node.lineno <= int(line) <= (guide.node.end_lineno or guide.node.lineno)


def _looks(program: Program, svi: Svi) -> list[Look]:
    return [one.svi.look for one in program.seen.svi(svi) if one.svi.look is not None]


def _is_point(program: Program, svi: Svi, guide: Function) -> bool:
    """Whether the guide is a point estimate: every latent is a Delta."""
    for look in _looks(program, svi):
        if look.guide:
            return all(site.distribution == "Delta" for site in look.guide.values())
    kinds = [_kind(site.distribution) for site in program.sites_of([guide.node])]
    return bool(kinds) and set(kinds) == {"Delta"}


# -- which guide, and which model


def _custom(svi: Svi) -> tuple[Function | None, ast.expr | None]:
    """The hand-written guide of an SVI object, and the expression to put another in its place (within a scale)."""
    value, node = _unwrapped(svi.guide, svi.node(1, "guide"), {SCALE})
    if isinstance(value, Instance):
        run = parts_of(value)[0].runs
        return (run, node) if isinstance(run, Function) else (None, None)
    return (value, node) if isinstance(value, Function) else (None, None)


def _model(svi: Svi) -> str | None:
    """Source of the model without a scale: the autoguide is scaled from outside, as the guide was."""
    value, node = _unwrapped(svi.model, svi.node(0, "model"), {SCALE})
    _, within = _unwrapped(value, node, HANDLERS)
    if node is None or not isinstance(within, (ast.Name, ast.Attribute)):
        return None
    return edits.text_of(svi.module, node)


def _unwrapped(
    value: Value | None, node: ast.expr | None, handlers: Collection[str]
) -> tuple[Value | None, ast.expr | None]:
    """What these handlers are put round, and its expression where that is spelled there."""
    while isinstance(value, Made) and value.name in handlers:
        value, node = value.argument(0, "fn"), _first(node, "fn")
    return value, node


def _first(node: ast.expr | None, keyword: str) -> ast.expr | None:
    if not isinstance(node, ast.Call):
        return None
    given = next((k.value for k in node.keywords if k.arg == keyword), None)
    return given if given is not None else node.args[0] if node.args else None


# -- reasons to hold back


def _doubt(program: Program, svi: Svi, guide: Function, node: ast.expr | None) -> str:
    if svi.is_lowlevel:
        return "a plain torch optimiser is in charge, which would not know the autoguide's parameters"
    if guide.bound is not None and not _is_module(svi):
        return "the guide is a method: its object may hold networks, or use the guide elsewhere"
    if guide.decorators or not isinstance(guide.node, ast.FunctionDef):
        return "the guide is no plain function"
    if not isinstance(node, ast.Name):
        return "the guide is not given by its name"
    if svi.scope.function is not None and node.id in _argument_names(svi.scope.function):
        return "the guide is an argument of the function that builds the SVI object"
    return (
        _amortised(guide.node, guide.bound is not None)
        or _used_elsewhere(program, svi, guide, node)
        or _other_names(program, svi, guide)
        or _unfit_model(program, svi)
    )


def _is_module(svi: Svi) -> bool:
    """Whether the guide is a ``PyroModule``, which is called itself, and not a method of some object."""
    return is_pyro_module(_unwrapped(svi.guide, None, {SCALE})[0])


def _argument_names(function: ast.AST) -> set[str]:
    return {node.arg for node in ast.walk(getattr(function, "args", ast.Pass())) if isinstance(node, ast.arg)}


def _amortised(guide: ast.FunctionDef, is_method: bool) -> str:
    """Whether the guide computes with its arguments, beyond asking for their sizes, or registers a network."""
    harmless: set[ast.AST] = set()
    for node in ast.walk(guide):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("module", "random_module"):
                return "the guide registers a network: it is amortised"
            if called == "len":
                harmless |= {*node.args}
            elif called == "plate":
                harmless |= {part for given in (*node.args, *node.keywords) for part in ast.walk(given)}
        elif isinstance(node, ast.Attribute) and node.attr in ("shape", "size", "device", "dtype"):
            harmless.add(node.value)
    names = _argument_names(guide) - ({guide.args.args[0].arg} if is_method and guide.args.args else set())
    for statement in guide.body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id in names and node not in harmless:
                return f"the guide computes with its argument '{node.id}': it may be amortised"
    return ""


def _used_elsewhere(program: Program, svi: Svi, guide: Function, given: ast.Name) -> str:
    reason = "the guide is used in another place too, which would go on with the untrained one"
    assert isinstance(guide.node, ast.FunctionDef)
    is_module = guide.bound is not None
    names = {given.id} if is_module else {given.id, guide.node.name}
    for module in linked(program, svi, guide):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Name) and node.id in names and node is not given:
                if is_module and isinstance(node.ctx, ast.Store):
                    continue  # where it is made
                return reason
            if isinstance(node, ast.Attribute) and node.attr in names:
                return reason
            imported = [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            if module is not svi.module and names & set(imported):
                return reason
    return ""


def _other_names(program: Program, svi: Svi, guide: Function) -> str:
    reader = read_by_name(program, svi, guide)
    return f"{reader}, and an autoguide's have other names" if reader else ""


def _unfit_model(program: Program, svi: Svi) -> str:
    """Why an autoguide would not fit the model: by its source, and by what the run showed of it."""
    sites = [site for site in program.sites_of(functions_of(svi.model)) if not site.observed]
    for site in sites:
        known = distributions.lookup(_kind(site.distribution))
        if known is not None and known.discrete:
            return "the model has a discrete latent, which the autoguide cannot draw"
        if any(_subsamples(plate) for plate in site.plates):
            return "the model subsamples in a plate, which the autoguide would have to know (create_plates)"
    for look in _looks(program, svi):
        latents = [site for site in look.model.values() if not site.observed]
        if any(site.enumerable or site.support.startswith(DISCRETE) for site in latents):
            return "the model has a discrete latent, which the autoguide cannot draw"
        if any(plate.subsample < plate.size for site in look.model.values() for plate in site.plates):
            return "the model subsamples in a plate, which the autoguide would have to know (create_plates)"
    if _in_batches(svi) and (
        any(site.plates for site in sites)
        or any(site.plates and not site.observed for look in _looks(program, svi) for site in look.model.values())
    ):
        return "latents in a plate may belong to the data of a batch, which the autoguide would mix up"
    return ""


def _kind(distribution: Value | None) -> str:
    """The family of a distribution, also behind ``.to_event(...)`` and its like; empty when it is not known."""
    for option in options(distribution):
        if isinstance(option, Made) and option.name.startswith("pyro.distributions."):
            return option.name.rpartition(".")[2]
        callee = getattr(option, "callee", None)
        base = getattr(callee, "base", None)
        if base is not None:
            return _kind(base)
    return ""


def _subsamples(plate: Made) -> bool:
    given = [plate.argument(2, "subsample_size"), plate.argument(3, "subsample")]
    return any(value is not None and not (isinstance(value, Const) and value.value is None) for value in given)


def _in_batches(svi: Svi) -> bool:
    """Whether ``step`` is given what a loop runs over: other data at every call."""
    for step in svi.steps:
        given = {node.id for node in ast.walk(step.call) if isinstance(node, ast.Name)}
        for loop in step.loops:
            target = getattr(loop.node, "target", None)
            if target is not None and given & {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}:
                return True
    return False
