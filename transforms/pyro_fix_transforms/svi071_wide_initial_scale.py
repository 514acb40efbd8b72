"""SVI071."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial
from typing import Literal

from pyro_fix import edits
from pyro_fix.analysis import distributions
from pyro_fix.analysis.noise import gradient_noise
from pyro_fix.analysis.program import Param, Program, Use
from pyro_fix.analysis.requirements import constraint_text
from pyro_fix.analysis.tensors import extent
from pyro_fix.transform import Candidate, Edit, Number, Promise, Proposal, Threshold, Transform
from pyro_fix_transforms._scales import LADDER, assigned_once, constant_name, shrunk, sizes

#: Initial standard deviations above this are wide.  Exactly 1 is common and no error.
WIDEST = 1.0
#: Distributions whose ``scale`` is a standard deviation, or one times a constant.
WITH_SCALE = frozenset({"Normal", "LogNormal", "Laplace", "StudentT", "Logistic", "SoftLaplace"})


class WideInitialScale(Transform):
    """Initialise guide distributions with low variance.

    ## What it does
    Finds a param of the guide whose initial value is a literal above 1 and that is the standard deviation of a guide's
    site, and makes it 0.1, or 0.05, or 0.01: the first that keeps its promise. Shape and dtype stay. A literal from 0.1
    to 1 is found only where a run shows that the gradient is mostly noise at the first step. `--tune` tries other
    values, from 0.001 to 0.1.

    ## Why
    A wide guide samples latents from all over the place, so the first gradients are mostly noise, and the optimiser
    loses its way, or the loss becomes NaN (tip 7).

    ## Example
    ```python
    def guide(data):
        loc = pyro.param("loc", torch.tensor(0.0))
        scale = pyro.param("scale", torch.tensor(100.0), constraint=constraints.positive)
        pyro.sample("z", dist.Normal(loc, scale))
    ```
    becomes
    ```python
    def guide(data):
        loc = pyro.param("loc", torch.tensor(0.0))
        scale = pyro.param("scale", torch.tensor(0.1), constraint=constraints.positive)
        pyro.sample("z", dist.Normal(loc, scale))
    ```

    ## Holds back when
    - the param is used in a model too: a learned noise is no guide scale;
    - it feeds a concentration or a rate as well, where smaller means wider;
    - the initial value is not a literal at the call, nor in a local variable that serves nothing but such params;
    - the same name starts in several places;
    - the new value would violate the param's constraint.

    ## Promise
    Less variance (the gradient's variance at the first step falls) and no worse (by the original program's objective).
    """

    code, name, tip = "SVI071", "wide-initial-scale", 7
    by_the_end = True
    promise = Promise.LESS_VARIANCE | Promise.NO_WORSE
    noise = Threshold(
        1.5, "the gradient's standard deviation at the first step, in units of its mean's length, that is noisy"
    )

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a param."""
        for param in program.params:
            known = extent(param.initial)
            if known is None or known.low <= LADDER[0] or param.kind != "param":
                continue
            noise = 0.0 if known.low > WIDEST else self._noise(program, param)
            if known.low <= WIDEST and noise < self.noise:
                continue
            doubt = _doubt_of_name(program, param)
            if doubt is None:
                continue
            message = f"{param.name or 'this param'} starts {known.high:g} wide; a wide guide makes noisy gradients"
            if noise:
                message += f": at the first step the noise is {noise:.2g} times the mean"
            source: Literal["static", "seen"] = "seen" if noise else "static"
            if not doubt and _shrunk(program, param, LADDER[0]) is None:
                doubt = "its initial value is not a literal at the call"
            candidates = sizes(partial(self._candidate, program, param, bool(noise)))
            if not doubt and not candidates:
                doubt = "its constraint allows no smaller value"
            yield self.finding(param.module, param.call, message, candidates, doubt, source)

    def _candidate(
        self, program: Program, param: Param, needs_run: bool, size: float, numbers: tuple[Number, ...]
    ) -> Candidate | None:
        changes = _shrunk(program, param, size) if _allowed(param, size) else None
        if changes is None:
            return None
        return Candidate(changes, self.promise, f"initial value {size}", needs_run=needs_run, numbers=numbers)

    def _noise(self, program: Program, param: Param) -> float:
        """The least noise of the gradient over the runs of the SVI objects that train it; 0 where none was measured."""
        looks = [seen.svi.look for seen in program.seen.param(param)]
        noises = [gradient_noise(look) for look in looks if look is not None]
        return min((noise or 0.0 for noise in noises), default=0.0)


def _doubt_of_name(program: Program, param: Param) -> str | None:
    """Why a scale of the guide should not be changed; ``None`` where it is none.  All calls of one name share it."""
    key = ("SVI071", param.name or param, param.module)
    if key not in program.memo:
        same_name = program.same_name(param)
        uses = [use for call in same_name for use in call.uses]
        scales = [use for use in uses if use.unchanged and _is_deviation(use)]
        is_scale = bool(scales) and all(_roles(program, use) == {"guide"} for use in uses)
        program.memo[key] = _doubt(uses, scales, same_name) if is_scale else None
    doubt = program.memo[key]
    assert doubt is None or isinstance(doubt, str)
    return doubt


def _doubt(uses: list[Use], scales: list[Use], same_name: list[Param]) -> str:
    if len(scales) < len(uses):
        return "it is used for something else than a standard deviation as well"
    if sum(call.initial is not None for call in same_name) > 1:
        return "the same name is given an initial value in several places"
    if any(call.mutated for call in same_name):
        return "the program changes its value in place"
    return ""


def _is_deviation(use: Use) -> bool:
    return use.argument == "scale" and use.distribution.name.rpartition(".")[2] in WITH_SCALE


def _roles(program: Program, use: Use) -> set[str]:
    return set().union(*(program.roles(function) for function in use.functions))


def _shrunk(program: Program, param: Param, size: float) -> tuple[Edit, ...] | None:
    """Edits that make a param start at ``size``: at its call, or where the number has a name in the function and serves
    such params alone.  On what has a name in the whole file other things may hang."""
    changes = shrunk(param.module, param.initial_node, size)
    if changes is not None or param.initial_node is None:
        return changes
    module, name = param.module, constant_name(param.initial_node)
    value = assigned_once(module, name.id) if name is not None else None
    function = param.scope.function
    if name is None or value is None or function is None or value not in ast.walk(function):
        return None
    served = [
        other
        for other in program.params
        if other.module is module and other.initial_node is not None and _is_named(other.initial_node, name.id)
    ]
    alike = all(_doubt_of_name(program, other) == "" and _allowed(other, size) for other in served)
    if not alike or module.mentions[name.id] != 1 + len({other.call for other in served}):
        return None
    return (edits.replace(module, value, repr(size)),)


def _is_named(node: ast.expr, name: str) -> bool:
    found = constant_name(node)
    return found is not None and found.id == name


def _allowed(param: Param, size: float) -> bool:
    if param.constraint is None:
        return True
    text = constraint_text(param.constraint)
    return text is not None and distributions.satisfies(size, text) is True
